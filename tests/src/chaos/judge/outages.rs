//! Finds the periods in which no client got a number.

use std::fmt;
use std::time::Duration;

use crate::chaos::history::History;

/// The shortest gap between answers that counts as an outage. Shorter ones result from the clients' own pauses, or from
/// a busy machine.
pub const NOTICEABLE: Duration = Duration::from_millis(200);

/// A period in which clients made visits and none got a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The last answer before it.
    pub from: Duration,
    /// The first answer after it.
    pub to: Duration,
}

impl Outage {
    /// Returns its duration.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from.as_secs_f64(), self.to.as_secs_f64());
        write!(f, "{:.2} s without an answer, from {from:.3} to {to:.3} s", self.lasted().as_secs_f64())
    }
}

/// Returns the outages of each round that last at least [`NOTICEABLE`]. Every outage ends at the end of its round,
/// since the clients pause then.
#[must_use]
pub fn outages(history: &History) -> Vec<Vec<Outage>> {
    let mut answers: Vec<Duration> =
        history.hits.iter().filter(|hit| hit.number().is_some()).map(|hit| hit.ended).collect();
    answers.sort_unstable();
    let of = |began: Duration, ended: Duration| {
        let first = answers.partition_point(|answer| *answer <= began);
        let last = answers.partition_point(|answer| *answer < ended).max(first);
        let mut from = began;
        let mut found = Vec::new();
        for to in answers[first..last].iter().copied().chain([ended]) {
            let outage = Outage { from, to };
            if outage.lasted() >= NOTICEABLE {
                found.push(outage);
            }
            from = to;
        }
        found
    };
    history.rounds.iter().map(|round| of(round.began, round.ended)).collect()
}

/// Returns the duration of the longest outage of each round; zero if there is none.
#[must_use]
pub fn longest_outages(history: &History) -> Vec<Duration> {
    let longest = |outages: Vec<Outage>| outages.iter().map(Outage::lasted).max().unwrap_or_default();
    outages(history).into_iter().map(longest).collect()
}
