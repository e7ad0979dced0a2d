//! The state of one source of a pool: its addresses and the outcome of the last query.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
    time::SystemTime,
};

use super::{
    answer::{AddressSet, Decision},
    listing::Listing,
};
use crate::{
    config::{EndpointOptions, Source},
    upstream::snapshot::{SourceStats, SourceStatus},
};

/// One source with its addresses.
#[derive(Clone, Debug)]
pub(in crate::upstream) struct SourceState {
    pub(in crate::upstream) source: Source,
    /// The source as configured, such as `host:port` or `swarm://host:port?port=port`.
    pub(in crate::upstream) label: Arc<str>,
    /// The addresses of the last good answer for a name or a swarm.
    pub(in crate::upstream) addresses: AddressSet,
    /// The endpoints of the last good answer; the address itself for a fixed address.
    pub(in crate::upstream) endpoints: BTreeSet<SocketAddr>,
    /// The own options of those endpoints that have some: those of a file or of SRV records.
    options: BTreeMap<SocketAddr, EndpointOptions>,
    /// Why the last query failed, completely or in part.
    pub(in crate::upstream) error: Option<String>,
    /// When the last good answer arrived.
    pub(in crate::upstream) resolved: Option<SystemTime>,
    pub(in crate::upstream) stats: Arc<SourceStats>,
}

/// What a query changed.
#[derive(Debug)]
pub(in crate::upstream) struct Update {
    /// Whether the answer was good, completely or in part.
    pub(in crate::upstream) is_good: bool,
    /// Whether the endpoints or their options are others than before.
    pub(in crate::upstream) is_news: bool,
    /// Why the query failed, completely or in part.
    pub(in crate::upstream) error: Option<String>,
}

impl SourceState {
    /// Creates the state before the first query.
    pub(in crate::upstream) fn new(source: Source, now: SystemTime) -> Self {
        let (endpoints, resolved) = match &source {
            Source::Address(address) => (BTreeSet::from([*address]), Some(now)),
            Source::Name { .. } | Source::Services { .. } | Source::File(_) | Source::Swarm { .. } => {
                (BTreeSet::new(), None)
            }
        };
        Self {
            label: source.to_string().into(),
            source,
            addresses: AddressSet::default(),
            endpoints,
            options: BTreeMap::new(),
            error: None,
            resolved,
            stats: Arc::default(),
        }
    }

    /// Applies the answer for a name or a swarm.
    pub(in crate::upstream) fn decide(&mut self, decision: Decision) -> Update {
        let Decision { addresses, error } = decision;
        let is_good = addresses.is_some();
        let new = addresses.filter(|addresses| *addresses != self.addresses);
        let is_news = new.is_some();
        if let (Some(new), Source::Name { port, .. } | Source::Swarm { port, .. }) = (new, &self.source) {
            self.endpoints = new.at_port(*port);
            self.addresses = new;
        }
        Update { is_good, is_news, error }
    }

    /// Applies the contents of a file, or an answer with SRV records.
    pub(in crate::upstream) fn list(&mut self, answer: &Result<Listing, String>) -> Update {
        let listing = match answer {
            Ok(listing) => listing,
            Err(error) => return Update { is_good: false, is_news: false, error: Some(error.clone()) },
        };
        let is_news = listing.endpoints != self.options;
        if is_news {
            self.endpoints = listing.endpoints.keys().copied().collect();
            self.options.clone_from(&listing.endpoints);
        }
        Update { is_good: true, is_news, error: listing.warning.clone() }
    }

    /// Returns the options of one of its endpoints; `source` are those of the source.
    pub(in crate::upstream) fn options_of(&self, address: &SocketAddr, source: &EndpointOptions) -> EndpointOptions {
        self.options.get(address).map_or_else(|| source.clone(), |own| own.within(source))
    }

    /// Returns the least tier of its endpoints; `source` are the options of the source.
    pub(in crate::upstream) fn first_tier(&self, source: &EndpointOptions) -> u8 {
        self.options.values().map(|own| own.within(source).tier).min().unwrap_or(source.tier)
    }

    /// Whether an error is worth a line in the log: the first one, and each new one about a file, which somebody wrote.
    pub(in crate::upstream) fn is_news(&self, error: &str) -> bool {
        self.error.as_ref().is_none_or(|before| self.source.is_file() && before != error)
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
