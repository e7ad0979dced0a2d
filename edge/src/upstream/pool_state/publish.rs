//! Publishes the state of a pool to the workers, and reports what that changes for requests.

use std::sync::Arc;

use super::PoolState;
use crate::{
    config::BACKUP,
    observe::decisions::Decision,
    upstream::{
        discovery::source_state::SourceState, member::Member, pool, snapshot::PoolSnapshot, sticky::Sessions,
        tiers::Thresholds,
    },
};

impl PoolState {
    /// Publishes the current state unless it equals the last snapshot.
    pub(super) fn publish(&mut self) {
        self.publish_unless(pool::is_same);
    }

    pub(super) fn publish_unless(&mut self, is_same: impl FnOnce(&PoolSnapshot, &PoolSnapshot) -> bool) {
        let slow_start = self.handle.config.slow_start;
        for member in self.members.values_mut() {
            if member.follow_slow_start(slow_start)
                && let Some(duration) = slow_start
            {
                let reason = format!("its share grows for {duration:?}");
                self.handle.note(Decision::SlowStart, Some(member.endpoint.address), &reason);
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
        self.handle.recovery.wake();
    }

    fn report_change(&self, old: &PoolSnapshot, new: &PoolSnapshot) {
        let reason = format!("{} of {} endpoints may be used", new.healthy.len(), new.endpoints.len());
        let note = |decision| self.handle.note(decision, None, &reason);
        if new.panic && !old.panic {
            self.handle.panics.add(1);
            note(Decision::PanicBegan);
        } else if old.panic && !new.panic {
            note(Decision::PanicEnded);
        }
        if new.uses_draining && !old.uses_draining {
            note(Decision::DrainingUsed);
        } else if old.uses_draining && !new.uses_draining {
            note(Decision::DrainingSpared);
        }
    }

    fn report_tier_change(&self, old: &PoolSnapshot, new: &PoolSnapshot) {
        let (config, tier) = (&self.handle.config, new.last_tier);
        let first_tier = |state: &SourceState| state.first_tier(&config.options_of(&state.source));
        let first = self.sources.iter().map(first_tier).min().unwrap_or_default();
        let stands_in = |snapshot: &PoolSnapshot| snapshot.last_tier > first;
        if stands_in(new) && tier != old.last_tier {
            let reason = if tier == BACKUP { "backup".to_owned() } else { format!("tier {tier}") };
            self.handle.note(Decision::TierChanged, None, &reason);
        } else if stands_in(old) && tier == first {
            self.handle.note(Decision::FirstTierUsed, None, &format!("tier {tier}"));
        }
    }

    fn report_zone_change(&self, old: &PoolSnapshot, new: &PoolSnapshot) {
        let Some(zone) = &self.handle.config.zone else { return };
        let reason = format!("zone {zone}");
        if old.local && !new.local {
            self.handle.note(Decision::ZoneLeft, None, &reason);
        } else if new.local && !old.local {
            self.handle.note(Decision::OwnZoneUsed, None, &reason);
        }
    }
}
