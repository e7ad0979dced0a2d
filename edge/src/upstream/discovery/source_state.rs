//! The state of one source of a pool: its addresses and the outcome of the last query.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::SystemTime};

use super::answer::AddressSet;
use crate::{
    config::Source,
    upstream::snapshot::{SourceStats, SourceStatus},
};

/// One source with its addresses.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct SourceState {
    pub(in crate::upstream) source: Source,
    /// The source as configured: `host:port`, or `swarm://host:port?port=port`.
    pub(in crate::upstream) label: Arc<str>,
    /// The addresses of the last good answer; empty for a fixed address.
    pub(in crate::upstream) addresses: AddressSet,
    /// `addresses` with the source's port; the address itself for a fixed address.
    pub(in crate::upstream) endpoints: BTreeSet<SocketAddr>,
    /// Why the last query failed, completely or in part.
    pub(in crate::upstream) error: Option<String>,
    /// When the last good answer arrived.
    pub(in crate::upstream) resolved: Option<SystemTime>,
    pub(in crate::upstream) stats: Arc<SourceStats>,
}

impl SourceState {
    /// Creates the state before the first query.
    pub(in crate::upstream) fn new(source: Source, now: SystemTime) -> Self {
        let (endpoints, resolved) = match &source {
            Source::Address(address) => (BTreeSet::from([*address]), Some(now)),
            Source::Name { .. } | Source::Swarm { .. } => (BTreeSet::new(), None),
        };
        Self {
            label: source.to_string().into(),
            source,
            addresses: AddressSet::default(),
            endpoints,
            error: None,
            resolved,
            stats: Arc::default(),
        }
    }

    /// Replaces the addresses after a good answer.
    pub(in crate::upstream) fn update(&mut self, addresses: AddressSet) {
        if let Source::Name { port, .. } | Source::Swarm { port, .. } = self.source {
            self.endpoints = addresses.at_port(port);
            self.addresses = addresses;
        }
    }

    /// Returns the state for the status page. `has` tells whether an address is an endpoint of the pool.
    pub(in crate::upstream) fn status(&self, has: impl Fn(&SocketAddr) -> bool) -> SourceStatus {
        SourceStatus {
            source: self.label.to_string(),
            endpoints: self.endpoints.iter().filter(|address| has(address)).count(),
            error: self.error.clone(),
            resolved: self.resolved,
        }
    }
}
