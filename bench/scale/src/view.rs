//! One edge's view of its endpoints, decided by the edge's own code.
//!
//! The calls are those of `edge/src/upstream/pool_state/mod.rs`, which shares its pool between tasks and publishes it
//! to workers; here nothing runs concurrently.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use edge::{
    config::Pool,
    upstream::{
        Endpoint, EndpointState, Member, PoolSnapshot,
        balance::{self, Candidates, Turns},
        health::{
            Health,
            outlier::{self, PoolCounts},
        },
        pool,
        tiers::{self, Thresholds},
    },
};
use tokio::time::Instant;

/// The endpoints of one edge, and the snapshot from which it picks.
#[derive(Debug)]
pub struct View {
    members: Vec<Member>,
    /// How many endpoints are healthy, how many unchecked, and how many neither.
    counts: [usize; 3],
    /// `None` after a change. Only the next pick needs it, and builds it.
    snapshot: Option<PoolSnapshot>,
    by_id: HashMap<u64, usize>,
    turns: Turns,
}

/// The candidates of one request, none of which is busy.
struct Idle<F> {
    count: usize,
    tried: F,
}

impl<F: Fn(usize) -> bool> Candidates for Idle<F> {
    fn count(&self) -> usize {
        self.count
    }

    fn is_excluded(&self, candidate: usize) -> bool {
        (self.tried)(candidate)
    }

    fn load(&self, _candidate: usize) -> u64 {
        0
    }
}

/// The index of a state in `View::counts`.
fn count_index(state: EndpointState) -> usize {
    match state {
        // The simulation has no requests at the same time, so none waits for one on trial.
        EndpointState::Healthy | EndpointState::Probation => 0,
        EndpointState::Unchecked => 1,
        // Nothing drains in the simulation.
        EndpointState::Unhealthy | EndpointState::Ejected | EndpointState::Draining | EndpointState::Maintenance => 2,
    }
}

impl View {
    /// Creates a view of `count` unchecked endpoints. `cursor` is where round robin begins.
    #[must_use]
    pub fn new(count: usize, cursor: usize) -> Self {
        let member = |index: usize| {
            let [_, a, b, c] = u32::try_from(index).unwrap_or(u32::MAX).to_be_bytes();
            let address = ([10, a, b, c], 8000).into();
            let endpoint = Arc::new(Endpoint::new(address, "tasks.web:8000".into(), 1, SystemTime::UNIX_EPOCH));
            Member::new(endpoint, Health::unchecked())
        };
        let members: Vec<_> = (0..count).map(member).collect();
        let by_id = members.iter().enumerate().map(|(index, member)| (member.endpoint.id, index)).collect();
        Self { counts: [0, members.len(), 0], members, snapshot: None, by_id, turns: Turns::starting_at(cursor) }
    }

    /// The endpoint's health by its checks.
    #[must_use]
    pub fn health(&self, endpoint: usize) -> Health {
        self.members[endpoint].health
    }

    /// Whether too few endpoints are healthy, as in `pool::snapshot`.
    #[must_use]
    pub fn is_panic(&self, pool: &Pool) -> bool {
        let [healthy, unchecked, bad] = self.counts;
        tiers::is_panic(if healthy == 0 { unchecked } else { healthy }, bad, pool.panic_threshold)
    }

    /// Whether the endpoint's checks fail, so that a request that waits on it may be sent elsewhere.
    #[must_use]
    pub fn is_down(&self, endpoint: usize) -> bool {
        self.members[endpoint].state() == EndpointState::Unhealthy
    }

    /// Whether first attempts are sent to the endpoint.
    #[must_use]
    pub fn is_used(&self, endpoint: usize, pool: &Pool) -> bool {
        self.is_panic(pool)
            || matches!(self.members[endpoint].state(), EndpointState::Healthy | EndpointState::Probation)
    }

    /// When the endpoint's ejection ends.
    #[must_use]
    pub fn ejected_until(&self, endpoint: usize) -> Option<Instant> {
        self.members[endpoint].outlier.until()
    }

    /// Records a check. Returns the endpoint's health by its checks.
    pub fn check_completed(&mut self, endpoint: usize, passed: bool, pool: &Pool, now: Instant) -> Health {
        let member = &mut self.members[endpoint];
        let Some(check) = &pool.health else { return member.health };
        let before = member.state();
        member.check_completed(passed, check, now);
        let (health, after) = (member.health, member.state());
        self.changed(before, after);
        health
    }

    /// Records a successful request.
    pub fn request_succeeded(&self, endpoint: usize) {
        self.members[endpoint].endpoint.succeeded();
    }

    /// Records a failed request. Returns whether that ejected the endpoint.
    pub fn request_failed(&mut self, endpoint: usize, pool: &Pool, now: Instant) -> bool {
        let counts = PoolCounts::of(&self.members);
        let member = &mut self.members[endpoint];
        member.endpoint.failed();
        if !outlier::is_due(&pool.ejection, member.endpoint.failures_in_a_row())
            || member.eject(&pool.ejection, counts, now).is_none()
        {
            return false;
        }
        self.changed(EndpointState::Healthy, EndpointState::Ejected);
        true
    }

    /// Records that the time of an ejection has passed. The next successful check ends it.
    pub fn ejection_expired(&mut self, endpoint: usize) {
        self.members[endpoint].outlier.expire();
    }

    /// Picks an endpoint for a request that failed at the endpoints in `tried`. As in the edge's `proxy::attempt`,
    /// healthy endpoints come first after a failure.
    pub fn pick(&mut self, tried: &[usize], random: u64, pool: &Pool) -> Option<usize> {
        let Self { members, snapshot, by_id, turns, .. } = self;
        let snapshot = snapshot.get_or_insert_with(|| {
            let endpoints: Vec<_> = members.iter().map(Member::standing).collect();
            pool::snapshot(&endpoints, Thresholds::of(pool), Vec::new())
        });
        let index = |endpoint: &Arc<Endpoint>| by_id.get(&endpoint.id).copied().unwrap_or_default();
        let untried = |endpoint: &Arc<Endpoint>| !tried.contains(&index(endpoint));
        let again = !tried.is_empty();
        let candidates =
            if again && snapshot.healthy.iter().any(untried) { &snapshot.healthy[..] } else { snapshot.usable() };
        let tried = |candidate: usize| again && !untried(&candidates[candidate]);
        let candidates_left = Idle { count: candidates.len(), tried };
        let picked = balance::pick(pool.balance, &candidates_left, (!again).then_some(turns), random, None);
        picked.map(|candidate| index(&candidates[candidate]))
    }

    fn changed(&mut self, before: EndpointState, after: EndpointState) {
        if before != after {
            self.counts[count_index(before)] -= 1;
            self.counts[count_index(after)] += 1;
            self.snapshot = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation;

    /// The counts here must equal those of the edge itself.
    #[test]
    fn panic_equals_that_of_the_snapshot() {
        let (pool, now) = (simulation::pool(), Instant::now());
        let mut view = View::new(10, 0);
        for endpoint in 0..10 {
            for passed in [true, false, false, false] {
                view.check_completed(endpoint, passed, &pool, now);
                view.pick(&[], 0, &pool);
                assert_eq!(view.snapshot.as_ref().map(|snapshot| snapshot.panic), Some(view.is_panic(&pool)));
            }
        }
        assert!(view.is_panic(&pool));
    }
}
