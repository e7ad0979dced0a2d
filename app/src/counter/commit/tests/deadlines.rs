//! When a hit gets an error while the store is slow or silent.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fake::{Act, Call, MS, Rig, lost, rig};
use crate::counter::{
    Limits,
    commit::{CONNECT_TIMEOUT, LONGEST_CONNECT, connect_timeout},
    error::{CounterError, StoreError},
};

#[tokio::test(start_paused = true)]
async fn every_hit_is_answered_at_its_own_deadline_when_the_store_is_silent() {
    let rig = Rig::up(Limits::default()).await;
    rig.add(Act::Hang);
    let start = Instant::now();
    let sent = rig.hit();
    sleep(500 * MS).await;
    let waiting = rig.hit();
    let (result, at) = sent.await.unwrap();
    assert!(matches!(result, Err(CounterError::Late)), "{result:?}");
    assert_eq!(at - start, Limits::default().deadline);
    // No hit of the batch listens any more: the store counts as failed, and the waiting hits get an error.
    let (result, at) = waiting.await.unwrap();
    assert!(matches!(&result, Err(CounterError::Store(e)) if matches!(**e, StoreError::Silent)));
    assert_eq!(at - start, Limits::default().deadline);
}

#[tokio::test(start_paused = true)]
async fn a_hit_that_waited_for_a_slow_round_trip_still_meets_its_deadline() {
    let rig = Rig::up(Limits::default()).await;
    rig.add(Act::Work(1700 * MS)).add(Act::Work(1700 * MS));
    let start = Instant::now();
    let first = rig.hit();
    sleep(10 * MS).await;
    let second = rig.hit();
    sleep(1000 * MS).await;
    let third = rig.hit();
    assert_eq!(first.await.unwrap().0.unwrap(), 2);
    let (result, at) = second.await.unwrap();
    assert!(matches!(result, Err(CounterError::Late)), "{result:?}");
    assert_eq!((at - start).as_millis(), 1810);
    let (result, at) = third.await.unwrap();
    assert!(matches!(result, Err(CounterError::Late)), "{result:?}");
    assert_eq!((at - start).as_millis(), 2810);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_beyond_the_longest_is_capped() {
    let rig = Rig::up(Limits { deadline: Duration::MAX, ..Limits::default() }).await;
    rig.add(Act::Hang);
    let (start, (result, at)) = (Instant::now(), rig.hit().await.unwrap());
    assert!(matches!(result, Err(CounterError::Late)), "{result:?}");
    assert_eq!(at - start, Limits::LONGEST);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_again_until_its_hits_expire_and_no_longer() {
    let rig = Rig::up(Limits::default()).await;
    rig.add(Act::Fail(100 * MS, lost()));
    for _ in 0..100 {
        rig.connect(Act::Fail(100 * MS, StoreError::Connect("refused".into())));
    }
    let start = Instant::now();
    let (result, at) = rig.hit().await.unwrap();
    assert!(matches!(result, Err(CounterError::Late)), "{result:?}");
    assert_eq!(at - start, Limits::default().deadline, "also during a pause");
}

#[tokio::test(start_paused = true)]
async fn a_silent_connect_is_given_up_after_a_second() {
    let rig = rig(Limits::default());
    rig.connect(Act::Hang);
    let start = Instant::now();
    let (result, at) = rig.hit().await.unwrap();
    assert!(matches!(&result, Err(CounterError::Store(e)) if matches!(**e, StoreError::Silent)));
    assert_eq!(at - start, CONNECT_TIMEOUT);
}

#[test]
fn later_attempts_to_connect_get_the_time_of_a_visit_within_bounds() {
    let table = [
        (0, 1800, CONNECT_TIMEOUT),
        (1, 60_000, CONNECT_TIMEOUT),
        (2, 100, 2 * CONNECT_TIMEOUT),
        (2, 1800, 2 * CONNECT_TIMEOUT),
        (2, 5000, Duration::from_secs(5)),
        (u32::MAX, 60_000, LONGEST_CONNECT),
    ];
    for (failures, deadline, expected) in table {
        assert_eq!(connect_timeout(failures, deadline * MS), expected, "{failures} failures, {deadline} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_distant_store_is_reached_after_attempts_that_were_too_short() {
    let rig = rig(Limits::default());
    for _ in 0..3 {
        rig.connect(Act::Work(1400 * MS));
    }
    rig.add(Act::Work(350 * MS));
    let start = Instant::now();
    while rig.counter.ready().await.is_err() {
        assert!(start.elapsed() < Duration::from_secs(60), "never connected");
        sleep(10 * MS).await;
    }
    assert_eq!(rig.calls().iter().filter(|call| **call == Call::Connect).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_is_reported_until_it_is_fast_again() {
    let rig = Rig::up(Limits::default()).await;
    for (time, expected) in [(700, false), (700, false), (700, true), (10, true), (10, true), (10, false)] {
        rig.add(Act::Work(time * MS));
        rig.counter.hit().await.unwrap();
        assert_eq!(rig.counter.is_slow(), expected, "{time} ms");
    }
}
