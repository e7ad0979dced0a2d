//! One source of a pool: what it is, what it gives, and how asking for it goes.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::SystemTime};

use super::{SourceStats, SourceStatus, discover::Known};
use crate::config::Source;

/// One source and what it gives.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) source: Source,
    /// As configured: `host:port`, or `swarm://host:port?port=port`.
    pub(super) label: Arc<str>,
    pub(super) known: Known,
    /// `known` as endpoints; the address itself for a source that needs no resolving.
    pub(super) addresses: BTreeSet<SocketAddr>,
    pub(super) error: Option<String>,
    pub(super) resolved: Option<SystemTime>,
    pub(super) stats: Arc<SourceStats>,
}

impl Origin {
    /// Before anything was asked.
    pub(super) fn new(source: Source, now: SystemTime) -> Self {
        let (addresses, resolved) = match &source {
            Source::Address(address) => (BTreeSet::from([*address]), Some(now)),
            Source::Name { .. } | Source::Swarm { .. } => (BTreeSet::new(), None),
        };
        Self {
            label: source.to_string().into(),
            source,
            known: Known::default(),
            addresses,
            error: None,
            resolved,
            stats: Arc::default(),
        }
    }

    /// Takes in a good answer.
    pub(super) fn learn(&mut self, known: Known) {
        if let Source::Name { port, .. } | Source::Swarm { port, .. } = self.source {
            self.addresses = known.at_port(port);
            self.known = known;
        }
    }

    /// What people see, with `has` saying which addresses are endpoints of the pool.
    pub(super) fn status(&self, has: impl Fn(&SocketAddr) -> bool) -> SourceStatus {
        SourceStatus {
            source: self.label.to_string(),
            endpoints: self.addresses.iter().filter(|address| has(address)).count(),
            error: self.error.clone(),
            resolved: self.resolved,
        }
    }
}
