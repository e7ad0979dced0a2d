//! The rows of the table.

mod run;
mod small;

use crate::{peers::Peer, rows::run::Bench};

pub(crate) use run::run;

/// One row: a load, measured with the edge and with peers in turn.
pub(crate) struct Row {
    /// On the command line.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) peers: &'static [Peer],
    pub(crate) metrics: &'static [Metric],
    /// One measurement of one proxy: a number for each metric.
    pub(crate) sample: fn(&Bench, Peer) -> anyhow::Result<Vec<f64>>,
}

/// One figure of a row.
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    /// What the edge's figure by the peer's should be.
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

const ALL: &[Row] = &[
    Row {
        name: "small-get-64",
        title: "HTTP/1.1, small GET, 64 connections",
        peers: EVERY,
        metrics: SMALL,
        sample: |bench, peer| small::sample(bench, peer, 64),
    },
    Row {
        name: "small-get-1024",
        title: "HTTP/1.1, small GET, 1,024 connections",
        peers: EVERY,
        metrics: SMALL,
        sample: |bench, peer| small::sample(bench, peer, 1024),
    },
];

const EVERY: &[Peer] = &[Peer::Haproxy, Peer::Relay, Peer::Nginx, Peer::Pingora, Peer::Caddy];

const SMALL: &[Metric] = &[
    Metric {
        name: "CPU µs/request",
        aims: &[
            (Peer::Haproxy, Aim::AtMost(0.85)),
            (Peer::Nginx, Aim::AtMost(1.0)),
            (Peer::Caddy, Aim::AtMost(1.0)),
            (Peer::Pingora, Aim::AtMost(1.0)),
            (Peer::Relay, Aim::AtMost(1.1)),
        ],
    },
    Metric { name: "requests/s", aims: &[] },
];
