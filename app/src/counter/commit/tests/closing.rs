//! How the counter ends.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::fake::{Act, MS, Rig, rig};
use crate::counter::{Limits, error::CounterError};

#[tokio::test(start_paused = true)]
async fn a_panic_answers_waiting_hits_and_refuses_later_ones() {
    let rig = Rig::up(Limits::default()).await;
    rig.add(Act::Work(100 * MS)).add(Act::Panic);
    let first = rig.hit();
    sleep(10 * MS).await;
    let second = rig.hit();
    assert_eq!(first.await.unwrap().0.unwrap(), 2);
    let (result, _) = second.await.unwrap();
    assert!(matches!(result, Err(CounterError::Closed)), "{result:?}");
    timeout(MS, rig.counter.ended()).await.unwrap();
    let later = timeout(MS, rig.counter.hit()).await.unwrap();
    assert!(matches!(later, Err(CounterError::Closed)), "{later:?}");
}

#[tokio::test(start_paused = true)]
async fn closing_answers_waiting_hits_and_refuses_later_ones() {
    let rig = Rig::up(Limits::default()).await;
    rig.add(Act::Work(100 * MS)).add(Act::Work(100 * MS));
    let sent = rig.hit();
    sleep(10 * MS).await;
    let waiting = rig.hit();
    sleep(10 * MS).await;
    rig.counter.close().await;
    assert_eq!(sent.await.unwrap().0.unwrap(), 2);
    assert_eq!(waiting.await.unwrap().0.unwrap(), 3);
    let later = rig.counter.hit().await;
    assert!(matches!(later, Err(CounterError::Closed)), "{later:?}");
    assert!(rig.adds.is_closed(), "the store is gone");
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_store_that_does_not_connect() {
    let rig = rig(Limits { deadline: Duration::from_secs(60), ..Limits::default() });
    for _ in 0..3 {
        rig.connect(Act::Hang);
    }
    // The third attempt begins after two to three seconds and may take ten.
    sleep(Duration::from_secs(5)).await;
    timeout(MS, rig.counter.close()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_store_closes_after_the_last_handle() {
    let rig = Rig::up(Limits::default()).await;
    let clone = rig.counter.clone();
    drop(rig.counter);
    sleep(MS).await;
    assert!(!rig.adds.is_closed());
    drop(clone);
    timeout(Duration::from_secs(1), rig.adds.closed()).await.unwrap();
}
