//! The edge's decisions about sending a request again, which an operator may ask about: how many log lines are written
//! about each.

use tokio::time::Instant;

use super::log_limit::LogLimit;

/// A decision about sending a request again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is sent again.
    Retry,
    /// It is not sent again, although it could be, because the budget is used up.
    OverBudget,
    /// It is sent to a second endpoint, because the first one is slow.
    Hedge,
}

/// The limits of the log lines of one worker.
#[derive(Debug, Default)]
pub struct DecisionLines([LogLimit; 3]);

impl DecisionLines {
    /// Whether a line about a decision may be written now. Returns the number of lines omitted since the last one.
    pub fn admit(&self, decision: Decision, now: Instant) -> Option<u64> {
        self.0.get(decision as usize)?.admit(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_decision_has_a_line_a_second_of_its_own() {
        let (lines, now) = (DecisionLines::default(), Instant::now());
        for decision in [Decision::Retry, Decision::OverBudget, Decision::Hedge] {
            assert_eq!([lines.admit(decision, now), lines.admit(decision, now)], [Some(0), None], "{decision:?}");
        }
    }
}
