//! Decides whether an exact counter can have produced a history. Pure: it depends on the history alone.
//!
//! It works like Jepsen's checkers (Kingsbury, <https://jepsen.io>): an answered visit happened between its start and
//! its end; one without an answer may have happened at any time after its start, or never. The four invariants:
//!
//! 1. *unique*: no number is returned twice.
//! 2. *exact*: acknowledged <= counted <= acknowledged + ambiguous, in every round by itself. The second
//!    half is checked number by number: a number that was not returned must be explained by an unanswered visit
//!    that started before any larger number was read. Skipped numbers are checked in order, and the latest start
//!    that explains one grows with it, so counting is enough (Hall's condition).
//! 3. *ordered*: a visit that started after another's answer was read gets a larger number.
//! 4. *prompt*: no visit and no gap between two answers takes longer than its limit.

mod outages;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

pub use outages::{NOTICEABLE, Outage, longest_outages, outages};

use super::history::{History, Hit, Outcome, Round};

/// The time limits that a counter must keep.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The time limit for one visit.
    pub hit: Duration,
    /// The longest time in which no client gets a number.
    pub outage: Duration,
}

/// A violation of an invariant, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Two visits got the same number.
    Duplicate(Hit, Hit),
    /// A visit got a number that the round cannot have produced: not above the count before it, or above the count
    /// after it.
    Outside(Hit, Round),
    /// More visits were acknowledged than counted.
    TooFew {
        /// The round.
        round: Round,
        /// The number of visits of the round that got a number.
        acknowledged: u64,
    },
    /// More visits were counted than can be explained, at the latest from the first surplus number on.
    TooMany {
        /// The round.
        round: Round,
        /// The first number that was not returned and that no unanswered visit explains.
        number: u64,
        /// How many numbers up to this one were not returned.
        skipped: u64,
        /// How many unanswered visits could explain them.
        ambiguous: u64,
    },
    /// The second visit started after the first was answered, and got a smaller number.
    Backwards(Hit, Hit),
    /// A visit exceeded its time limit.
    Slow(Hit),
    /// An outage exceeded its time limit.
    Unavailable(Outage, Round),
}

/// The violations of each invariant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// No number is returned twice.
    pub unique: Vec<Violation>,
    /// Acknowledged visits are counted, and counted visits can be explained.
    pub exact: Vec<Violation>,
    /// Numbers grow with time.
    pub ordered: Vec<Violation>,
    /// Every visit is answered or refused in time, and outages end in time.
    pub prompt: Vec<Violation>,
}

impl Verdict {
    /// Returns whether all invariants hold.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.invariants().iter().all(|(_, violations)| violations.is_empty())
    }

    /// Returns each invariant by name with its violations.
    #[must_use]
    pub fn invariants(&self) -> [(&'static str, &[Violation]); 4] {
        [
            ("1 unique:  no number is returned twice", &self.unique),
            ("2 exact:   acknowledged <= counted <= acknowledged + ambiguous", &self.exact),
            ("3 ordered: a later visit gets a larger number", &self.ordered),
            ("4 prompt:  no visit hangs, and outages end", &self.prompt),
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

fn unique(hits: &[Hit]) -> Vec<Violation> {
    let mut first: HashMap<u64, &Hit> = HashMap::new();
    let mut violations = Vec::new();
    for hit in hits {
        let Some(number) = hit.number() else { continue };
        if let Some(before) = first.insert(number, hit) {
            violations.push(Violation::Duplicate(before.clone(), hit.clone()));
        }
    }
    violations
}

fn exact(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    // By start, so that a round's visits are contiguous.
    let mut hits: Vec<&Hit> = history.hits.iter().collect();
    hits.sort_by_key(|hit| hit.started);
    for round in &history.rounds {
        let first = hits.partition_point(|hit| hit.started < round.began);
        let last = hits.partition_point(|hit| hit.started <= round.ended);
        exact_round(&hits[first..last.max(first)], round, &mut violations);
    }
    violations
}

/// Checks one round. `hits` are ordered by their starts.
fn exact_round(hits: &[&Hit], round: &Round, violations: &mut Vec<Violation>) {
    let mut answered: Vec<(u64, Duration)> = Vec::new();
    let mut acknowledged = 0;
    for hit in hits {
        let Some(number) = hit.number() else { continue };
        acknowledged += 1;
        if number > round.before && number <= round.after {
            answered.push((number, hit.ended));
        } else {
            violations.push(Violation::Outside((*hit).clone(), round.clone()));
        }
    }
    if acknowledged > round.after.saturating_sub(round.before) {
        violations.push(Violation::TooFew { round: round.clone(), acknowledged });
    }

    answered.sort_unstable();
    // For each returned number, the time at which it or any larger one was first read: a visit with a smaller number
    // had started by then.
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
            violations.push(Violation::TooMany { round: round.clone(), number, skipped, ambiguous });
            // Later numbers of the round add nothing.
            return;
        }
        skipped += gap;
        previous = number;
    }
}

fn ordered(hits: &[Hit]) -> Vec<Violation> {
    let mut by_start: Vec<(u64, &Hit)> = hits.iter().filter_map(|hit| Some((hit.number()?, hit))).collect();
    let mut by_end = by_start.clone();
    by_start.sort_by_key(|(_, hit)| hit.started);
    by_end.sort_by_key(|(_, hit)| hit.ended);
    let mut ended = by_end.into_iter().peekable();
    let mut largest: Option<(u64, &Hit)> = None;
    let mut violations = Vec::new();
    for (number, hit) in by_start {
        while let Some(before) = ended.next_if(|(_, before)| before.ended < hit.started) {
            if largest.is_none_or(|(largest, _)| before.0 > largest) {
                largest = Some(before);
            }
        }
        if let Some((_, before)) = largest.filter(|(largest, _)| number <= *largest) {
            violations.push(Violation::Backwards(before.clone(), hit.clone()));
        }
    }
    violations
}

fn prompt(history: &History, limits: Limits) -> Vec<Violation> {
    let slow = history.hits.iter().filter(|hit| hit.took() > limits.hit);
    let mut violations: Vec<Violation> = slow.map(|hit| Violation::Slow(hit.clone())).collect();
    for (round, outages) in history.rounds.iter().zip(outages(history)) {
        let long = outages.into_iter().filter(|outage| outage.lasted() > limits.outage);
        violations.extend(long.map(|outage| Violation::Unavailable(outage, round.clone())));
    }
    violations
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicate(first, second) => write!(f, "duplicate: {}, and {}", Shown(first), Shown(second)),
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
                "too many: {skipped} numbers from {} to {number} were not returned, and only {ambiguous} visits without \
                 an answer had started by then; counted from {} to {} ({})",
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

/// Displays a visit for a line of the report.
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
