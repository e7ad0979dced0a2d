//! What the clients observed, as input for the judge. Times are since the start of the run.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;

/// The outcome of one visit, as far as its client can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered with this number.
    Counted(u64),
    /// Certainly not counted: there was no connection, so nothing was sent.
    Unsent,
    /// It failed after it was sent, for this reason. It may or may not have been counted.
    Unknown(String),
}

/// One visit of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The index of the client.
    pub client: usize,
    /// The index of the host whose counter it visited.
    pub host: usize,
    /// Just before it was sent.
    pub started: Duration,
    /// When its response was read, or the client gave up.
    pub ended: Duration,
    /// Its outcome.
    pub outcome: Outcome,
}

impl Hit {
    /// Returns the number that the visit got.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Counted(number) => Some(number),
            Outcome::Unsent | Outcome::Unknown(_) => None,
        }
    }

    /// Returns the time from start to end.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.ended.saturating_sub(self.started)
    }
}

/// One fault and the recovery from it. Clients run from [`began`](Self::began) to [`ended`](Self::ended); before and
/// after that nothing is in progress, and the stored count is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// The kind of fault, for the table.
    pub kind: &'static str,
    /// The fault in full.
    pub fault: String,
    /// When the clients started.
    pub began: Duration,
    /// When the fault began.
    pub injected: Duration,
    /// When the cluster had recovered.
    pub recovered: Duration,
    /// When the clients had paused.
    pub ended: Duration,
    /// The count before.
    pub before: u64,
    /// The count after.
    pub after: u64,
    /// The number of promoted replicas.
    pub promotions: usize,
}

/// Everything that happened in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Every visit, in any order.
    pub hits: Vec<Hit>,
    /// The rounds, one after the other. Every visit started and ended within one of them.
    pub rounds: Vec<Round>,
}

impl History {
    /// Returns the number of visits that got a number.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.hits.iter().filter(|hit| hit.number().is_some()).count()
    }

    /// Returns the number of visits that may or may not have been counted.
    #[must_use]
    pub fn ambiguous(&self) -> usize {
        self.hits.iter().filter(|hit| matches!(hit.outcome, Outcome::Unknown(_))).count()
    }

    /// Writes one JSON object per line, with times in microseconds: the rounds, then the visits.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        for round in &self.rounds {
            let line = json!({
                "fault": round.fault, "began": micros(round.began), "injected": micros(round.injected),
                "recovered": micros(round.recovered), "ended": micros(round.ended), "before": round.before,
                "after": round.after, "promotions": round.promotions,
            });
            writeln!(to, "{line}")?;
        }
        for hit in &self.hits {
            let outcome = match &hit.outcome {
                Outcome::Counted(number) => json!(number),
                Outcome::Unsent => json!("unsent"),
                Outcome::Unknown(why) => json!({ "unknown": why }),
            };
            let line = json!({
                "client": hit.client, "host": hit.host, "started": micros(hit.started), "ended": micros(hit.ended),
                "outcome": outcome,
            });
            writeln!(to, "{line}")?;
        }
        Ok(())
    }
}

/// Converts to microseconds, which fit a run of 500,000 years.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
