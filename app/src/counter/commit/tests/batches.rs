//! Which hits share a round trip, and which are not sent.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fake::{Act, Call, MS, Rig, rig};
use crate::counter::{
    Limits,
    error::{CounterError, StoreError},
};

#[tokio::test(start_paused = true)]
async fn hits_that_arrive_during_a_round_trip_share_the_next() {
    let rig = Rig::up(Limits::default()).await;
    rig.add(Act::Work(100 * MS)).add(Act::Work(100 * MS));
    let first = rig.hit();
    sleep(10 * MS).await;
    let others: Vec<_> = (0..5).map(|_| rig.hit()).collect();
    assert_eq!(first.await.unwrap().0.unwrap(), 2);
    let mut numbers = Vec::new();
    for hit in others {
        numbers.push(hit.await.unwrap().0.unwrap());
    }
    assert_eq!(numbers, [3, 4, 5, 6, 7]);
    assert_eq!(rig.calls(), [Call::Add(1), Call::Add(5)]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_its_batch_is_sent_is_not_counted() {
    let rig = Rig::up(Limits::default()).await;
    rig.add(Act::Work(100 * MS)).add(Act::Work(100 * MS));
    let first = rig.hit();
    sleep(10 * MS).await;
    let (gone, stays) = (rig.hit(), rig.hit());
    sleep(10 * MS).await;
    gone.abort();
    assert_eq!(first.await.unwrap().0.unwrap(), 2);
    assert_eq!(stays.await.unwrap().0.unwrap(), 3);
    assert_eq!(rig.calls(), [Call::Add(1), Call::Add(1)]);
}

#[tokio::test(start_paused = true)]
async fn one_hit_more_than_may_wait_is_refused_at_once() {
    let rig = Rig::up(Limits { max_waiting: 2, ..Limits::default() }).await;
    rig.add(Act::Work(100 * MS)).add(Act::Work(100 * MS));
    let sent = rig.hit();
    sleep(10 * MS).await;
    let waiting = [rig.hit(), rig.hit()];
    sleep(10 * MS).await;
    let asked = Instant::now();
    let refused = rig.counter.hit().await;
    assert!(matches!(refused, Err(CounterError::Busy)), "{refused:?}");
    assert_eq!(asked.elapsed(), Duration::ZERO);
    assert_eq!(sent.await.unwrap().0.unwrap(), 2);
    for (hit, number) in waiting.into_iter().zip([3, 4]) {
        assert_eq!(hit.await.unwrap().0.unwrap(), number);
    }
}

#[tokio::test(start_paused = true)]
async fn probes_share_one_round_trip_and_count_nothing() {
    let rig = rig(Limits::default());
    rig.connect(Act::Work(MS)).add(Act::Work(MS));
    let probes: Vec<_> = (0..100)
        .map(|_| {
            let counter = rig.counter.clone();
            tokio::spawn(async move { counter.ready().await })
        })
        .collect();
    for probe in probes {
        probe.await.unwrap().unwrap();
    }
    // The last answer is recent enough to send no further probe.
    rig.counter.ready().await.unwrap();
    assert_eq!(rig.calls(), [Call::Connect, Call::Add(0)]);
    rig.add(Act::Work(MS));
    assert_eq!(rig.counter.hit().await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn probes_ask_every_five_seconds_and_again_after_a_failure() {
    let rig = Rig::up(Limits::default()).await;
    for _ in 0..9 {
        sleep(500 * MS).await;
        rig.counter.ready().await.unwrap();
    }
    assert_eq!(rig.calls(), []);
    sleep(500 * MS).await;
    rig.add(Act::Work(MS)).counter.ready().await.unwrap();
    assert_eq!(rig.calls(), [Call::Add(0)]);
    rig.breaks.notify_one();
    rig.connect(Act::Fail(MS, StoreError::Connect("refused".into())));
    sleep(10 * MS).await;
    assert!(rig.counter.ready().await.is_err(), "what was fresh is no longer true");
}
