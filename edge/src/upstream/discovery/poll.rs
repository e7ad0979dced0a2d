//! When a source is queried again.
//!
//! [`poll`] queries a name or reads a file, [`follow`] asks for the nodes of a swarm. Both get the query as an argument,
//! so that their timing is tested without a socket, and pass each answer to a function. They end when that function
//! returns `None`: the pool no longer exists.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    answer,
    swarm::{self, Nodes},
};
use crate::config::Interval;

/// Queries a source at `interval` and passes on the answers. A query returns the TTL of its answer, if that has one, and
/// must end by itself.
pub(in crate::upstream) async fn poll<A>(
    interval: Interval,
    mut query: impl AsyncFnMut() -> (A, Option<Duration>),
    apply: impl Fn(&A) -> Option<()>,
) {
    loop {
        let (answer, ttl) = query().await;
        if apply(&answer).is_none() {
            return;
        }
        sleep(answer::delay(interval.after(ttl), fastrand::f64())).await;
    }
}

/// Asks for the nodes of a swarm and passes on the answers. The watch may hold a query for some time, but a query must
/// end by itself.
pub(in crate::upstream) async fn follow(
    mut query: impl AsyncFnMut() -> Result<Nodes, String>,
    apply: impl Fn(&Result<Nodes, String>) -> Option<()>,
) {
    let mut failures = 0_u32;
    loop {
        let started = Instant::now();
        let answer = query().await;
        failures = if answer.is_ok() { 0 } else { failures.saturating_add(1) };
        if apply(&answer).is_none() {
            return;
        }
        sleep(swarm::delay(failures, started.elapsed(), fastrand::f64())).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::{Cell, RefCell},
        rc::Rc,
    };

    use super::*;
    use crate::upstream::{
        discovery::{AddressSet, Answer, Failure},
        pool_state::{
            Timestamp,
            tests::{pool_state, settings},
        },
    };

    /// Follows a swarm for ten minutes. `query` gets its number, from 0. Returns when each query began.
    async fn followed(query: impl AsyncFn(usize) -> Result<Nodes, String>) -> Vec<Duration> {
        let (times, started) = (RefCell::new(Vec::new()), Instant::now());
        let query = async || {
            let number = times.borrow().len();
            times.borrow_mut().push(started.elapsed());
            query(number).await
        };
        let following = follow(query, |_| Some(()));
        tokio::time::timeout(Duration::from_secs(600), following).await.unwrap_err();
        times.take()
    }

    fn nodes() -> Result<Nodes, String> {
        Ok(Nodes { addresses: AddressSet::of([[10, 0, 0, 1].into()]), warning: None })
    }

    #[tokio::test(start_paused = true)]
    async fn swarm_is_asked_again_right_after_an_answer_but_not_in_a_busy_loop() {
        let held = followed(async |_| {
            sleep(Duration::from_secs(5)).await;
            nodes()
        });
        let held = held.await;
        assert!(held.windows(2).all(|pair| (pair[1] - pair[0]).as_secs() == 5), "{held:?}");
        let at_once = followed(async |_| nodes()).await;
        assert!((1400..=1600).contains(&at_once.len()), "{}", at_once.len());
    }

    #[tokio::test(start_paused = true)]
    async fn swarm_that_does_not_answer_is_asked_less_often_until_it_does() {
        let times = followed(async |number| if number == 8 { nodes() } else { Err("gone".to_owned()) }).await;
        let delays: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect();
        for (number, most) in [(0, 500), (1, 1000), (2, 2000), (3, 4000), (7, 4000), (9, 500), (12, 4000)] {
            assert!((most / 2..=most + 1).contains(&delays[number]), "{number}: {delays:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn name_is_queried_at_the_interval_after_good_and_bad_answers() {
        let pool = RefCell::new(pool_state(&settings(&["web"], None)));
        let queries = Rc::new(Cell::new(0_usize));
        let counter = Rc::clone(&queries);
        let query = async move || {
            counter.set(counter.get() + 1);
            let even = counter.get().is_multiple_of(2);
            let v4 = if even { Ok(vec![[10, 0, 0, 1].into()]) } else { Err(Failure::NoSuchName) };
            (Answer { v4, v6: Ok(Vec::new()) }, Some(Duration::from_secs(600)))
        };
        let polling = poll(Interval::Fixed(Duration::from_secs(1)), query, |answer| {
            pool.borrow_mut().apply_answer(0, answer, Timestamp::now());
            Some(())
        });
        tokio::time::timeout(Duration::from_secs(100), polling).await.unwrap_err();
        assert!((90..=112).contains(&queries.get()), "{}", queries.get());
        assert_eq!(pool.borrow().endpoints().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn name_is_queried_when_its_ttl_is_over_and_soon_after_a_failure() {
        let times = RefCell::new(Vec::new());
        let started = Instant::now();
        let query = async || {
            let number = times.borrow().len();
            times.borrow_mut().push(started.elapsed());
            ((), [Some(0), Some(30), Some(600), None].map(|ttl| ttl.map(Duration::from_secs))[number % 4])
        };
        let interval = Interval::Ttl { min: Duration::from_secs(2), max: Duration::from_secs(60) };
        let polling = poll(interval, query, |()| Some(()));
        tokio::time::timeout(Duration::from_secs(300), polling).await.unwrap_err();
        let times = times.take();
        let delays: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        for (number, expected) in [(0, 2.0), (1, 30.0), (2, 60.0), (3, 2.0), (4, 2.0), (5, 30.0)] {
            assert!((0.89..=1.11).contains(&(delays[number] / expected)), "{number}: {delays:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn polling_ends_when_the_pool_is_gone() {
        let query = async || (Answer { v4: Err(Failure::NoSuchName), v6: Err(Failure::NoSuchName) }, None);
        let started = Instant::now();
        let apply = |_: &Answer| (started.elapsed() < Duration::from_secs(5)).then_some(());
        let polling = poll(Interval::Fixed(Duration::from_secs(1)), query, apply);
        tokio::time::timeout(Duration::from_secs(15), polling).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn following_ends_when_the_pool_is_gone() {
        tokio::time::timeout(Duration::from_secs(15), follow(async || nodes(), |_| None)).await.unwrap();
    }
}
