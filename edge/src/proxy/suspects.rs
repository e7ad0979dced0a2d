//! Keeps a request that cannot be sent again from endpoints that are suspect; see
//! [`suspicion`](crate::upstream::suspicion).

use std::time::Duration;

use crate::{
    observe::decisions::Decision,
    proxy::{candidates::Candidates, retry_state::RetryState},
    upstream::{Endpoint, suspicion::is_avoided},
    worker::{PoolView, Worker},
};

/// An endpoint is silent after this many times the time within which [`USUAL`] of the pool's responses come.
const TIMES: u32 = 4;
/// Not the highest quantile: a few long polls must not hide that an endpoint hangs.
const USUAL: f64 = 0.95;

/// The shortest silence. To suspect an endpoint wrongly costs little, a request takes the next one, but most programs
/// pause for some milliseconds now and then.
const SHORTEST: Duration = Duration::from_millis(50);

/// The silence while it is not known how long responses take.
const UNKNOWN: Duration = Duration::from_secs(1);

/// What one request knows of the suspect endpoints of its pool.
pub(super) struct Suspects<'p> {
    worker: &'p Worker,
    pool: &'p PoolView,
    /// The request cannot be sent again, and the pool suspects endpoints.
    is_on: bool,
    /// It has avoided an endpoint.
    has_avoided: bool,
    /// And was counted.
    is_counted: bool,
}

impl<'p> Suspects<'p> {
    /// Nothing was avoided.
    pub(super) fn new(worker: &'p Worker, pool: &'p PoolView, retry_state: &RetryState) -> Self {
        let is_on = !retry_state.replayable && pool.handle.config.suspects();
        Self { worker, pool, is_on, has_avoided: false, is_counted: false }
    }

    /// Whether the request avoids the endpoint that was picked from the candidates. Costs some loads unless the
    /// endpoint is suspect.
    pub(super) fn avoids(&mut self, endpoint: &Endpoint, candidates: &Candidates<'_>) -> bool {
        if !self.is_on {
            return false;
        }
        let config = &self.pool.handle.config;
        let now = self.worker.clock.now();
        endpoint.look_for_silence(self.worker.index, now, || self.shortest_silence());
        let evidence = |endpoint: &Endpoint| endpoint.suspicion.evidence(now, config.suspicion);
        let avoids = evidence(endpoint).is_some_and(|own| {
            let all = candidates.iter().map(|one| (evidence(one), one.id));
            is_avoided(&config.ejection, (own, endpoint.id), all)
        });
        if !avoids && self.has_avoided && !self.is_counted {
            self.is_counted = true;
            self.pool.handle.stats.of(self.worker.index).decisions.add(Decision::Diverted);
        }
        self.has_avoided |= avoids;
        avoids
    }

    /// Stops avoiding endpoints, because no other one can take the request. Returns whether any was avoided.
    pub(super) fn relent(&mut self) -> bool {
        self.is_on = false;
        std::mem::take(&mut self.has_avoided)
    }

    fn shortest_silence(&self) -> Duration {
        let usual = self.pool.response_times.borrow().quantile(USUAL);
        usual.map_or(UNKNOWN, |usual| usual.saturating_mul(TIMES).max(SHORTEST))
    }
}
