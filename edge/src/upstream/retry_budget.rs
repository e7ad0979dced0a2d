//! How many requests of a pool may be sent again after an endpoint received them, over all workers.
//!
//! If every request is sent three times while all endpoints are slow or faulty, the endpoints get three times the load,
//! which keeps them slow. So retries are limited to a share of the requests, as in Finagle (`RetryBudget`), linkerd
//! (`retryRatio`) and Envoy (`retry_budget`): each request of the last ten seconds allows a part of a retry, and a few
//! retries a second are allowed in any case, so that a pool with little traffic has some. Finagle counts in ten windows
//! of a second. This counts as an average that decays, with the same life of ten seconds.
//!
//! A request does not write to the budget. The workers' own counters say how many requests there were, and are read once
//! a second and for a retry.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How long a request allows a retry: the time in which what is left of it falls to 37 %. Finagle's and linkerd's `ttl`.
const LIFE: Duration = Duration::from_secs(10);

/// The retries per second that are allowed in any case. The default of Finagle and linkerd.
const FLOOR: f64 = 10.0;

/// The retries that a pool may make.
#[derive(Debug, Default)]
pub struct RetryBudget(Mutex<Option<Balance>>);

impl RetryBudget {
    /// Notes that the pool has had this many `requests` in total. `share` is the part of a retry that each allows.
    pub fn observe(&self, requests: u64, share: f64, now: Instant) {
        self.update(requests, share, now, |_| {});
    }

    /// Takes one retry. Returns whether there was one.
    #[must_use]
    pub fn take(&self, requests: u64, share: f64, now: Instant) -> bool {
        self.update(requests, share, now, Balance::take)
    }

    /// Puts back one retry that was taken and not sent.
    pub fn put_back(&self) {
        let mut balance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(balance) = balance.as_mut() {
            balance.retries += 1.0;
        }
    }

    fn update<T>(&self, requests: u64, share: f64, now: Instant, change: impl FnOnce(&mut Balance) -> T) -> T {
        let mut balance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let balance = balance.get_or_insert_with(|| Balance::new(requests, now));
        balance.update(requests, share, now);
        change(balance)
    }
}

/// The retries that are left at a moment.
#[derive(Clone, Copy, Debug)]
struct Balance {
    retries: f64,
    /// The requests so far.
    requests: u64,
    at: Instant,
}

impl Balance {
    fn new(requests: u64, now: Instant) -> Self {
        Self { retries: FLOOR * LIFE.as_secs_f64(), requests, at: now }
    }

    /// Adds what was allowed since the last call, and forgets what is too old.
    fn update(&mut self, requests: u64, share: f64, now: Instant) {
        // Clocks and counters of several workers are read at slightly different times.
        let lives = now.saturating_duration_since(self.at).as_secs_f64() / LIFE.as_secs_f64();
        let more = requests.saturating_sub(self.requests) as f64 * share;
        let lost = -(-lives).exp_m1();
        // The requests are taken to have come evenly.
        let left_of_more = if lives > 0.0 { lost / lives } else { 1.0 };
        self.retries = self.retries * (1.0 - lost) + more * left_of_more + FLOOR * LIFE.as_secs_f64() * lost;
        self.requests = self.requests.max(requests);
        self.at = self.at.max(now);
    }

    fn take(&mut self) -> bool {
        let has_one = self.retries >= 1.0;
        if has_one {
            self.retries -= 1.0;
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHARE: f64 = 0.2;

    /// Takes all that is left.
    fn drain(budget: &RetryBudget, requests: u64, now: Instant) -> usize {
        (0..1_000_000).take_while(|_| budget.take(requests, SHARE, now)).count()
    }

    #[test]
    fn a_pool_without_traffic_has_a_few_retries_a_second() {
        let (budget, start) = (RetryBudget::default(), Instant::now());
        assert_eq!(drain(&budget, 0, start), 100);
        assert_eq!(drain(&budget, 0, start + Duration::from_secs(1)), 9);
        let rested = drain(&budget, 0, start + Duration::from_secs(3600));
        assert!((99..=100).contains(&rested), "{rested}");
    }

    #[test]
    fn an_outage_of_a_minute_adds_a_fifth_to_the_load() {
        let (budget, start) = (RetryBudget::default(), Instant::now());
        let mut requests = 0;
        let mut second = |second: u64, fail: bool| {
            let mut retries = 0;
            for request in 0..1000 {
                requests += 1;
                let now = start + Duration::from_millis(second * 1000 + request);
                // Every request is sent three times, if that is allowed.
                retries += if fail { (0..2).filter(|_| budget.take(requests, SHARE, now)).count() } else { 0 };
                budget.observe(requests, SHARE, now);
            }
            retries
        };
        assert_eq!((0..60).map(|at| second(at, false)).sum::<usize>(), 0);
        let retries = (60..120).map(|at| second(at, true)).sum::<usize>();
        // A fifth of 60,000, the floor of 600, and what the ten seconds before allowed.
        assert!((14_000..=15_000).contains(&retries), "{retries}");
        let last = second(120, true);
        assert!((205..=215).contains(&last), "{last}");
    }

    #[test]
    fn a_retry_that_was_not_sent_can_be_taken_again() {
        let (budget, start) = (RetryBudget::default(), Instant::now());
        assert_eq!(drain(&budget, 0, start), 100);
        budget.put_back();
        assert_eq!(drain(&budget, 0, start), 1);
    }

    #[test]
    fn a_burst_is_forgotten_after_some_time() {
        let (budget, start) = (RetryBudget::default(), Instant::now());
        budget.observe(0, SHARE, start);
        budget.observe(100_000, SHARE, start + Duration::from_secs(1));
        budget.observe(100_000, SHARE, start + Duration::from_secs(121));
        assert_eq!(drain(&budget, 100_000, start + Duration::from_secs(121)), 100);
    }

    proptest! {
        #[test]
        fn there_are_never_more_retries_than_the_share_and_the_floor_allow(
            steps in prop::collection::vec((0_u64..500, 0_u64..3000, 0_usize..200), 1..100), share in 0.0..=1.0,
        ) {
            let (budget, start) = (RetryBudget::default(), Instant::now());
            let (mut requests, mut now, mut taken) = (0, start, 0.0);
            for (more, millis, wanted) in steps {
                requests += more;
                now += Duration::from_millis(millis);
                taken += (0..wanted).filter(|_| budget.take(requests, share, now)).count() as f64;
                let elapsed = (now - start).as_secs_f64();
                prop_assert!(taken <= requests as f64 * share + FLOOR * (LIFE.as_secs_f64() + elapsed) + 1e-6);
            }
        }
    }
}
