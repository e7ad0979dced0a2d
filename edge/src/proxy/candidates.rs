//! Which endpoints an attempt may use.

use std::sync::Arc;

use crate::{
    proxy::retry_state::RetryState,
    upstream::{Endpoint, PoolSnapshot},
};

/// The endpoints that the next attempt may use. After a failure it prefers healthy endpoints that were not tried yet,
/// those of the edge's zone and then those of the tiers in use first, then draining ones. It falls back to ejected
/// ones: an endpoint that failed a moment ago may have recovered, while the healthy one may have died since its last
/// check.
pub(super) struct Candidates<'a> {
    /// Those and others: see [`Self::allow`].
    pub(super) endpoints: &'a [Arc<Endpoint>],
    /// The endpoints that must not be tried, by id.
    pub(super) tried: &'a [u64],
    /// Endpoints that are down are no candidates.
    only_up: bool,
    /// Nor are those of further tiers.
    last_tier: u8,
}

impl<'a> Candidates<'a> {
    /// The candidates of the next attempt.
    pub(super) fn new(snapshot: &'a PoolSnapshot, retry_state: &'a RetryState) -> Self {
        if retry_state.attempts <= 1 && retry_state.endpoints.is_empty() {
            return Self { endpoints: snapshot.usable(), tried: &[], only_up: false, last_tier: u8::MAX };
        }
        let tried = retry_state.endpoints.as_slice();
        let PoolSnapshot { preferred, healthy, draining, last_tier, .. } = snapshot;
        let by_preference = [(preferred, u8::MAX), (healthy, *last_tier), (healthy, u8::MAX), (draining, u8::MAX)];
        // A second exchange beside another one must not disturb those that drain, nor add to a panic.
        let considered = match retry_state.beside_another {
            false => by_preference.as_slice(),
            true if snapshot.panic => &[],
            true => &by_preference[..3],
        };
        for (endpoints, last_tier) in considered {
            let last_tier = *last_tier;
            let candidates = Self { endpoints, tried, only_up: false, last_tier };
            if endpoints.iter().any(|endpoint| candidates.allow(endpoint)) {
                return candidates;
            }
        }
        let endpoints = if retry_state.beside_another { &[][..] } else { &snapshot.reserve };
        Self { endpoints, tried, only_up: !snapshot.panic, last_tier: u8::MAX }
    }

    /// Whether an endpoint is one of them.
    pub(super) fn contains(&self, id: u64) -> bool {
        self.find(id).is_some()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'a Arc<Endpoint>> {
        self.endpoints.iter().filter(|endpoint| self.allow(endpoint))
    }

    /// The one with this id.
    pub(super) fn find(&self, id: u64) -> Option<&'a Arc<Endpoint>> {
        self.endpoints.iter().find(|endpoint| endpoint.id == id && self.allow(endpoint))
    }

    /// Whether an endpoint of [`Self::endpoints`] is one of them.
    pub(super) fn allow(&self, endpoint: &Endpoint) -> bool {
        let is_down = self.only_up && endpoint.is_down();
        !is_down && endpoint.tier() <= self.last_tier && !self.tried.contains(&endpoint.id)
    }
}
