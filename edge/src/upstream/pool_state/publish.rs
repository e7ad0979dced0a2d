//! Publishes the state of a pool to the workers, and reports what that changes for requests.

use std::sync::Arc;

use tracing::{info, warn};

use super::PoolState;
use crate::{
    config::BACKUP,
    upstream::{member::Member, pool, snapshot::PoolSnapshot, sticky::Sessions, tiers::Thresholds},
};

impl PoolState {
    /// Publishes the current state unless it equals the last snapshot.
    pub(super) fn publish(&mut self) {
        self.publish_unless(pool::is_same);
    }

    pub(super) fn publish_unless(&mut self, is_same: impl FnOnce(&PoolSnapshot, &PoolSnapshot) -> bool) {
        let (pool, slow_start) = (&self.handle.config.name, self.handle.config.slow_start);
        for member in self.members.values_mut() {
            if member.follow_slow_start(slow_start)
                && let Some(duration) = slow_start
            {
                info!(pool, endpoint = %member.endpoint.address, ?duration, "endpoint starts slowly");
            }
        }
        let endpoints: Vec<_> = self.members.values().map(Member::standing).collect();
        let sources =
            self.sources.iter().map(|state| state.status(|address| self.members.contains_key(address))).collect();
        let thresholds = Thresholds::of(&self.handle.config);
        let mut new = pool::snapshot(&endpoints, thresholds, sources);
        let old = self.handle.snapshot.load();
        if is_same(&old, &new) {
            return;
        }
        if let Some(tags) = &self.handle.tags {
            // A session may end where it began, although its endpoint drains.
            let (in_use, draining) = (if new.panic { &new.reserve } else { &new.healthy }, &new.draining);
            new.sessions = Sessions::new(tags, in_use.iter().chain(draining));
        }
        self.report_change(&old, &new);
        self.report_tier_change(&old, &new);
        self.report_zone_change(&old, &new);
        self.handle.snapshot.store(Arc::new(new));
    }

    fn report_change(&self, old: &PoolSnapshot, new: &PoolSnapshot) {
        let (pool, healthy, all) = (&self.handle.config.name, new.healthy.len(), new.endpoints.len());
        if new.panic && !old.panic {
            self.handle.panics.add(1);
            warn!(pool, healthy, all, "too few endpoints are healthy: using all of them");
        } else if old.panic && !new.panic {
            info!(pool, healthy, all, "enough endpoints are healthy again");
        }
        if new.uses_draining && !old.uses_draining {
            warn!(pool, draining = healthy, all, "no other endpoint is healthy: using those that drain");
        } else if old.uses_draining && !new.uses_draining {
            info!(pool, healthy, all, "no longer using endpoints that drain");
        }
    }

    fn report_tier_change(&self, old: &PoolSnapshot, new: &PoolSnapshot) {
        let (pool, config, tier) = (&self.handle.config.name, &self.handle.config, new.last_tier);
        let first = config.sources.iter().map(|source| config.options_of(source).tier).min().unwrap_or_default();
        let stands_in = |snapshot: &PoolSnapshot| snapshot.last_tier > first;
        if stands_in(new) && tier != old.last_tier {
            let tier = if tier == BACKUP { "backup".to_owned() } else { tier.to_string() };
            warn!(pool, tier, "too few endpoints of the first tier are usable: using a further tier");
        } else if stands_in(old) && tier == first {
            info!(pool, tier, "enough endpoints of the first tier are usable again");
        }
    }

    fn report_zone_change(&self, old: &PoolSnapshot, new: &PoolSnapshot) {
        let pool = &self.handle.config.name;
        let Some(zone) = &self.handle.config.zone else { return };
        if old.local && !new.local {
            warn!(pool, zone, "too few endpoints of this zone are usable: using those of all zones");
        } else if new.local && !old.local {
            info!(pool, zone, "enough endpoints of this zone are usable: using only those");
        }
    }
}
