//! When a hit gets an error while the store is slow or silent.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fake::{Act, MS, Rig, lost, rig};
use crate::counter::{
    Limits,
    commit::CONNECT_TIMEOUT,
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
