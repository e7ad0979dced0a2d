//! What a row of the table is.

use super::bench::Bench;
use crate::peers::Peer;

/// One row: a load, measured with ours and with peers in turn.
pub(crate) struct Row {
    /// On the command line.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Whom the peers are compared with.
    pub(crate) ours: Peer,
    pub(crate) peers: &'static [Peer],
    /// What the peer's column holds, if not the peer as such: ours against ourselves.
    pub(crate) against: Option<&'static str>,
    pub(crate) metrics: &'static [Metric],
    /// Whether a second round would say the same as the first.
    pub(crate) once: bool,
    /// One measurement of one program: a number for each metric.
    pub(crate) sample: fn(&Bench, Peer, Side) -> anyhow::Result<Vec<f64>>,
}

/// Which column a measurement is for. Only rows that compare ours with ourselves care.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Ours,
    Theirs,
}

/// One figure of a row.
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    /// What our figure by the peer's should be.
    pub(crate) aims: &'static [(Peer, Aim)],
}

/// A bound of a ratio.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

impl Aim {
    /// Whether a ratio keeps to it.
    pub(crate) fn met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(bound) => ratio <= bound,
            Self::AtLeast(bound) => ratio >= bound,
        }
    }
}
