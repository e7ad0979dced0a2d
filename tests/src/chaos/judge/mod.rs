//! What a history says about the counter. Pure: it takes what was recorded and nothing else.
//!
//! The way of Jepsen's checkers (Kingsbury, <https://jepsen.io>): an answered visit is known to have
//! happened between its start and its end; one without an answer may have happened at any time after its
//! start, or never. The four invariants:
//!
//! 1. *unique*: no number is answered twice.
//! 2. *exact*: acknowledged <= counted <= acknowledged + ambiguous, in every round by itself. The second
//!    half is judged number by number: one that nobody was answered has to be explained by an unanswered
//!    visit that had begun before any larger number was read. Numbers skipped are taken in their order, and
//!    the latest begin that explains one grows with it, so counting is enough (Hall's condition).
//! 3. *ordered*: a visit begun after another's answer was read gets a larger number.
//! 4. *prompt*: no visit takes longer than its bound, and no gap between two answers either.

mod outages;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

pub use outages::{NOTICEABLE, Outage, longest_outages, outages};

use super::history::{History, Hit, Outcome, Round};

/// What a counter has to keep to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest that one visit may take.
    pub hit: Duration,
    /// The longest that all clients together may be without an answer.
    pub outage: Duration,
}

/// What a history breaks, with what shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Breach {
    /// One number, answered to two visits.
    Twice(Hit, Hit),
    /// An answered number that the round cannot have given: not above the count before it, or above the
    /// count after it.
    Outside(Hit, Round),
    /// More visits acknowledged than counted.
    TooFew {
        /// Where.
        round: Round,
        /// How many visits of the round got a number.
        acknowledged: u64,
    },
    /// More counted than can be explained: from the first number that is one too many, at the latest.
    TooMany {
        /// Where.
        round: Round,
        /// The first number that nobody was answered and that no unanswered visit explains.
        number: u64,
        /// How many numbers up to this one nobody was answered.
        skipped: u64,
        /// How many visits without an answer could explain them.
        ambiguous: u64,
    },
    /// The second visit began after the first was answered, and got a smaller number.
    Backwards(Hit, Hit),
    /// A visit that took too long.
    Slow(Hit),
    /// Too long without any answer.
    Unavailable(Outage, Round),
}

/// The breaches of each invariant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// No number is answered twice.
    pub unique: Vec<Breach>,
    /// What was acknowledged is counted, and what is counted can be explained.
    pub exact: Vec<Breach>,
    /// Numbers grow with time.
    pub ordered: Vec<Breach>,
    /// Every visit is answered or refused in time, and service comes back in time.
    pub prompt: Vec<Breach>,
}

impl Verdict {
    /// Whether nothing was broken.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.invariants().iter().all(|(_, breaches)| breaches.is_empty())
    }

    /// Each invariant by name with its breaches.
    #[must_use]
    pub fn invariants(&self) -> [(&'static str, &[Breach]); 4] {
        [
            ("1 unique:  no number is answered twice", &self.unique),
            ("2 exact:   acknowledged <= counted <= acknowledged + ambiguous", &self.exact),
            ("3 ordered: a later visit gets a larger number", &self.ordered),
            ("4 prompt:  no visit hangs, and service comes back", &self.prompt),
        ]
    }
}

/// Judges a whole history, in O(n log n) for n visits.
#[must_use]
pub fn judge(history: &History, limits: Limits) -> Verdict {
    Verdict {
        unique: unique(&history.hits),
        exact: exact(history),
        ordered: ordered(&history.hits),
        prompt: prompt(history, limits),
    }
}

fn unique(hits: &[Hit]) -> Vec<Breach> {
    let mut first: HashMap<u64, &Hit> = HashMap::new();
    let mut breaches = Vec::new();
    for hit in hits {
        let Some(number) = hit.number() else { continue };
        if let Some(before) = first.insert(number, hit) {
            breaches.push(Breach::Twice(before.clone(), hit.clone()));
        }
    }
    breaches
}

fn exact(history: &History) -> Vec<Breach> {
    let mut breaches = Vec::new();
    // By start, so that a round's visits are one run of them.
    let mut hits: Vec<&Hit> = history.hits.iter().collect();
    hits.sort_by_key(|hit| hit.started);
    for round in &history.rounds {
        let first = hits.partition_point(|hit| hit.started < round.began);
        let last = hits.partition_point(|hit| hit.started <= round.ended);
        exact_round(&hits[first..last.max(first)], round, &mut breaches);
    }
    breaches
}

/// `hits` are in the order of their starts.
fn exact_round(hits: &[&Hit], round: &Round, breaches: &mut Vec<Breach>) {
    let mut answered: Vec<(u64, Duration)> = Vec::new();
    let mut acknowledged = 0;
    for hit in hits {
        let Some(number) = hit.number() else { continue };
        acknowledged += 1;
        if number > round.before && number <= round.after {
            answered.push((number, hit.ended));
        } else {
            breaches.push(Breach::Outside((*hit).clone(), round.clone()));
        }
    }
    if acknowledged > round.after.saturating_sub(round.before) {
        breaches.push(Breach::TooFew { round: round.clone(), acknowledged });
    }

    answered.sort_unstable();
    // For each answered number, when the first of it and all larger ones was read: whatever got a smaller
    // number had begun by then.
    let mut read_by = vec![Duration::MAX; answered.len()];
    let mut earliest = Duration::MAX;
    for (at, (_, ended)) in answered.iter().enumerate().rev() {
        earliest = earliest.min(*ended);
        read_by[at] = earliest;
    }
    let unanswered: Vec<Duration> =
        hits.iter().filter(|hit| matches!(hit.outcome, Outcome::Unknown(_))).map(|hit| hit.started).collect();
    let mut skipped = 0;
    let mut previous = round.before;
    let ends = answered.iter().zip(read_by).map(|((number, _), read_by)| (*number, read_by));
    for (number, read_by) in ends.chain([(round.after.saturating_add(1), Duration::MAX)]) {
        let gap = number.saturating_sub(previous).saturating_sub(1);
        let ambiguous = unanswered.partition_point(|started| *started <= read_by) as u64;
        if gap > 0 && skipped + gap > ambiguous {
            let number = previous + 1 + ambiguous.saturating_sub(skipped);
            let skipped = skipped + (number - previous);
            breaches.push(Breach::TooMany { round: round.clone(), number, skipped, ambiguous });
            // The rest of the round has no better explanation.
            return;
        }
        skipped += gap;
        previous = number;
    }
}

fn ordered(hits: &[Hit]) -> Vec<Breach> {
    let mut by_start: Vec<(u64, &Hit)> = hits.iter().filter_map(|hit| Some((hit.number()?, hit))).collect();
    let mut by_end = by_start.clone();
    by_start.sort_by_key(|(_, hit)| hit.started);
    by_end.sort_by_key(|(_, hit)| hit.ended);
    let mut ended = by_end.into_iter().peekable();
    let mut largest: Option<(u64, &Hit)> = None;
    let mut breaches = Vec::new();
    for (number, hit) in by_start {
        while let Some(before) = ended.next_if(|(_, before)| before.ended < hit.started) {
            if largest.is_none_or(|(largest, _)| before.0 > largest) {
                largest = Some(before);
            }
        }
        if let Some((_, before)) = largest.filter(|(largest, _)| number <= *largest) {
            breaches.push(Breach::Backwards(before.clone(), hit.clone()));
        }
    }
    breaches
}

fn prompt(history: &History, limits: Limits) -> Vec<Breach> {
    let slow = history.hits.iter().filter(|hit| hit.took() > limits.hit);
    let mut breaches: Vec<Breach> = slow.map(|hit| Breach::Slow(hit.clone())).collect();
    for (round, outages) in history.rounds.iter().zip(outages(history)) {
        let long = outages.into_iter().filter(|outage| outage.lasted() > limits.outage);
        breaches.extend(long.map(|outage| Breach::Unavailable(outage, round.clone())));
    }
    breaches
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice(first, second) => write!(f, "twice: {}, and {}", Shown(first), Shown(second)),
            Self::Outside(hit, round) => write!(
                f,
                "outside: {}, in a round that counted from {} to {} ({})",
                Shown(hit),
                round.before,
                round.after,
                round.fault
            ),
            Self::TooFew { round, acknowledged } => write!(
                f,
                "too few: {acknowledged} acknowledged, counted from {} to {} ({})",
                round.before, round.after, round.fault
            ),
            Self::TooMany { round, number, skipped, ambiguous } => write!(
                f,
                "too many: {skipped} numbers from {} to {number} were answered to nobody, and only {ambiguous} visits \
                 without an answer had begun by then; counted from {} to {} ({})",
                round.before + 1,
                round.before,
                round.after,
                round.fault
            ),
            Self::Backwards(first, second) => write!(f, "backwards: {}, then {}", Shown(first), Shown(second)),
            Self::Slow(hit) => write!(f, "slow: {}", Shown(hit)),
            Self::Unavailable(outage, round) => write!(f, "unavailable: {outage} ({})", round.fault),
        }
    }
}

/// A visit in a line of the report.
struct Shown<'a>(&'a Hit);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hit { client, host, started, ended, outcome } = self.0;
        match outcome {
            Outcome::Counted(number) => write!(f, "{number}")?,
            Outcome::Unsent => write!(f, "nothing sent")?,
            Outcome::Unknown(why) => write!(f, "no number ({why})")?,
        }
        let (started, ended) = (started.as_secs_f64(), ended.as_secs_f64());
        write!(f, " for client {client} at host {host} from {started:.6} to {ended:.6} s")
    }
}
