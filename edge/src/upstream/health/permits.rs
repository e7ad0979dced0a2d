//! How many checks of one pool run at a time.
//!
//! A check of an endpoint that does not answer holds its permit for the whole timeout. With one set of permits, many
//! silent endpoints would delay the checks of all others, so that a dead one stays in use. Each pool therefore has two
//! sets: one for the endpoints whose next check matters at once, and one for the rest. How long an endpoint stays in
//! use after it died depends only on how many die with it: each further [`URGENT`] add one timeout to every check.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::Health;

/// The largest number of concurrent checks of endpoints that are in use or answer again.
const URGENT: usize = 512;
/// The largest number of concurrent checks of the others: unhealthy ones, and new ones. Limits the load on the control
/// thread and the network when many endpoints appear at once.
const OTHER: usize = 128;

/// The permits of one pool.
#[derive(Debug)]
pub(in crate::upstream) struct ProbePermits {
    urgent: Semaphore,
    other: Semaphore,
}

impl Default for ProbePermits {
    fn default() -> Self {
        Self { urgent: Semaphore::new(URGENT), other: Semaphore::new(OTHER) }
    }
}

impl ProbePermits {
    /// Waits for a permit to check an endpoint with this health. Permits are given in the order of the requests.
    pub(in crate::upstream) async fn acquire(&self, health: &Health) -> Option<SemaphorePermit<'_>> {
        let permits = if health.is_urgent() { &self.urgent } else { &self.other };
        // The semaphore is never closed, so this always returns a permit.
        permits.acquire().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, collections::BTreeSet, rc::Rc, sync::Arc, time::Duration};

    use tokio::{
        task::{LocalSet, spawn_local},
        time::{Instant, sleep},
    };

    use super::*;
    use crate::{
        config::HealthCheck,
        upstream::{
            EndpointState,
            endpoint::Endpoint,
            health::{probe::Failure, state::tests::check, watch::watch},
            pool_state::{
                WatchedEndpoint,
                tests::{good, pool_state, settings},
            },
            traffic::LastRequest,
        },
    };

    /// The time after which `dying` endpoints of a pool that has `silent` others are all out of use, once they stop
    /// answering; the check takes up to a second.
    async fn time_to_notice(silent: usize, dying: usize) -> Duration {
        let addresses: Vec<_> =
            (0..silent + dying).map(|index| format!("10.0.{}.{}:80", index / 250, index % 250 + 1)).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let check = check(2, 3);
        let settings = settings(&addresses, Some(check));
        let pool = Rc::new(RefCell::new(pool_state(&settings)));
        let endpoints = pool.borrow().endpoints();
        let permits = Rc::new(ProbePermits::default());
        let answering: BTreeSet<u64> = endpoints.iter().skip(silent).map(|endpoint| endpoint.id).collect();
        let answering = Rc::new(RefCell::new(answering));
        for endpoint in &endpoints {
            let (permits, answering) = (Rc::clone(&permits), Rc::clone(&answering));
            let probe = async move |check: &HealthCheck, endpoint: &Endpoint, health: &Health| {
                let _permit = permits.acquire(health).await;
                if answering.borrow().contains(&endpoint.id) {
                    return good();
                }
                sleep(check.timeout).await;
                Err(Failure::Timeout(check.timeout))
            };
            let observer = WatchedEndpoint::new(Rc::downgrade(&pool), Arc::clone(endpoint));
            let (endpoint, check) = (Arc::clone(endpoint), settings.health.clone());
            let last_request = LastRequest::new(Arc::default(), Instant::now());
            spawn_local(async move { watch(&endpoint, check, probe, observer, &last_request).await });
        }
        let all = |state: EndpointState| endpoints.iter().skip(silent).all(|endpoint| endpoint.status().state == state);
        let until = async |state: EndpointState| {
            let began = Instant::now();
            while !all(state) {
                assert!(began.elapsed() < Duration::from_secs(600), "not all are {state:?}");
                sleep(Duration::from_millis(10)).await;
            }
            began.elapsed()
        };
        until(EndpointState::Healthy).await;
        sleep(Duration::from_secs(30)).await;
        answering.borrow_mut().clear();
        until(EndpointState::Unhealthy).await
    }

    /// An interval, three timeouts, and two fast intervals: 6.2 s.
    const ALONE: Duration = Duration::from_millis(6300);

    #[tokio::test(start_paused = true)]
    async fn silent_endpoints_do_not_delay_the_end_of_one_in_use() {
        LocalSet::new()
            .run_until(async {
                let took = time_to_notice(1000, 1).await;
                assert!(took <= ALONE, "{took:?}");
            })
            .await;
    }

    #[tokio::test(start_paused = true)]
    async fn each_further_set_of_dying_endpoints_adds_one_timeout_to_each_check() {
        LocalSet::new()
            .run_until(async {
                let took = time_to_notice(0, URGENT + 1).await;
                assert!(took <= ALONE + Duration::from_secs(3), "{took:?}");
            })
            .await;
    }
}
