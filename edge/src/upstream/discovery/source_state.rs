//! One source of a pool: what it is, what it gives, and how asking for it goes.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::SystemTime};

use super::Known;
use crate::config::Source;
use crate::upstream::{SourceStats, SourceStatus};

/// One source and what it gives.
#[derive(Clone, Debug)]
pub(crate) struct SourceState {
    pub(crate) source: Source,
    /// As configured: `host:port`, or `swarm://host:port?port=port`.
    pub(crate) label: Arc<str>,
    pub(crate) known: Known,
    /// `known` as endpoints; the address itself for a source that needs no resolving.
    pub(crate) addresses: BTreeSet<SocketAddr>,
    pub(crate) error: Option<String>,
    pub(crate) resolved: Option<SystemTime>,
    pub(crate) stats: Arc<SourceStats>,
}

impl SourceState {
    /// Before anything was asked.
    pub(crate) fn new(source: Source, now: SystemTime) -> Self {
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
    pub(crate) fn learn(&mut self, known: Known) {
        if let Source::Name { port, .. } | Source::Swarm { port, .. } = self.source {
            self.addresses = known.at_port(port);
            self.known = known;
        }
    }

    /// What people see, with `has` saying which addresses are endpoints of the pool.
    pub(crate) fn status(&self, has: impl Fn(&SocketAddr) -> bool) -> SourceStatus {
        SourceStatus {
            source: self.label.to_string(),
            endpoints: self.addresses.iter().filter(|address| has(address)).count(),
            error: self.error.clone(),
            resolved: self.resolved,
        }
    }
}
