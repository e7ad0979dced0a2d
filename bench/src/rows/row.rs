//! The definition of a row.

use super::bench::Bench;
use crate::peers::Peer;

/// One row: a load, measured with our program and its peers in turn.
pub(crate) struct Row {
    /// The row's name on the command line and in the table.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// The program to compare with the peers.
    pub(crate) ours: Peer,
    pub(crate) peers: &'static [Peer],
    /// The text of the peer's column instead of the peer's name, where our program is compared with itself.
    pub(crate) peer_label: Option<&'static str>,
    pub(crate) metrics: &'static [Metric],
    /// Whether one round is enough, because the figure does not vary.
    pub(crate) once: bool,
    /// Measures one program; returns one number per metric.
    pub(crate) sample: fn(&Bench, Peer, Side) -> anyhow::Result<Vec<f64>>,
}

/// The column that a measurement is for. It matters only to rows that compare our program with itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Ours,
    Theirs,
}

/// One figure of a row.
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    /// The intended ratio of our figure to a peer's.
    pub(crate) aims: &'static [(Peer, Aim)],
}

/// The bound that a ratio should meet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

impl Aim {
    /// Whether a ratio meets the bound.
    pub(crate) fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(bound) => ratio <= bound,
            Self::AtLeast(bound) => ratio >= bound,
        }
    }
}
