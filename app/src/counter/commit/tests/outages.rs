//! A store that fails: what is sent again, and how often it is asked.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fake::{Act, Call, MS, Rig, lost, refused, rig};
use crate::counter::{
    Limits,
    commit::{MAX_PAUSE, backoff},
    error::{CounterError, StoreError},
};

#[tokio::test(start_paused = true)]
async fn a_batch_whose_answer_is_lost_is_sent_again_and_counted_once() {
    let rig = Rig::up(Limits::default()).await;
    rig.add(Act::Fail(100 * MS, lost())).connect(Act::Work(100 * MS)).add(Act::Work(MS)).add(Act::Work(MS));
    let sent = rig.hit();
    sleep(10 * MS).await;
    let waiting = [rig.hit(), rig.hit()];
    assert_eq!(sent.await.unwrap().0.unwrap(), 2);
    for (hit, number) in waiting.into_iter().zip([3, 4]) {
        assert_eq!(hit.await.unwrap().0.unwrap(), number);
    }
    assert_eq!(rig.calls(), [Call::Add(1), Call::Connect, Call::Add(1), Call::Add(2)]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_hits_have_expired_is_not_sent_again() {
    let rig = Rig::up(Limits::default()).await;
    rig.add(Act::Fail(100 * MS, lost())).connect(Act::Fail(100 * MS, refused()));
    let start = Instant::now();
    let (result, at) = rig.hit().await.unwrap();
    assert!(matches!(&result, Err(CounterError::Store(e)) if matches!(**e, StoreError::Refused(_))), "{result:?}");
    assert_eq!(at - start, 200 * MS, "a refusal is final");
    rig.connect(Act::Work(MS));
    while rig.counter.hit().await.is_err_and(|error| matches!(error, CounterError::Store(_))) {
        rig.add(Act::Work(MS));
        sleep(MS).await;
    }
    assert!(rig.counter.hit().await.unwrap() > 2, "the lost one was counted");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_fails_the_sent_and_the_waiting_hits() {
    let rig = Rig::up(Limits::default()).await;
    rig.add(Act::Fail(100 * MS, refused())).connect(Act::Hang);
    let sent = rig.hit();
    sleep(10 * MS).await;
    let waiting = rig.hit();
    for hit in [sent, waiting] {
        let (result, _) = hit.await.unwrap();
        assert!(matches!(&result, Err(CounterError::Store(e)) if matches!(**e, StoreError::Refused(_))));
    }
    sleep(10 * MS).await;
    assert_eq!(rig.calls(), [Call::Add(1), Call::Connect]);
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_down_hits_fail_at_once_and_attempts_slow_down() {
    let rig = rig(Limits::default());
    for _ in 0..100 {
        rig.connect(Act::Fail(MS, StoreError::Connect("refused".into())));
    }
    assert!(rig.counter.hit().await.is_err());
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        let asked = Instant::now();
        assert!(rig.counter.hit().await.is_err());
        assert_eq!(asked.elapsed(), Duration::ZERO);
        sleep(100 * MS).await;
    }
    let attempts = rig.calls().len();
    assert!((10..30).contains(&attempts), "{attempts} attempts in 10 s");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_has_recovered_is_found_within_the_longest_pause() {
    const FAILURES: usize = 10;
    let rig = rig(Limits::default());
    for _ in 0..FAILURES {
        rig.connect(Act::Fail(MS, StoreError::Connect("refused".into())));
    }
    while rig.calls.lock().unwrap().len() < FAILURES {
        sleep(MS).await;
    }
    rig.connect(Act::Work(MS)).add(Act::Work(MS));
    let back = Instant::now();
    while rig.counter.ready().await.is_err() {
        sleep(MS).await;
    }
    assert!(back.elapsed() <= MAX_PAUSE + 10 * MS, "{:?}", back.elapsed());
}

#[tokio::test(start_paused = true)]
async fn idle_connections_that_the_store_closes_every_second_are_no_outage() {
    let rig = Rig::up(Limits::default()).await;
    for _ in 0..20 {
        sleep(MAX_PAUSE).await;
        rig.breaks.notify_one();
        sleep(MS).await;
        rig.connect(Act::Work(MS)).add(Act::Work(MS));
        let asked = Instant::now();
        rig.counter.hit().await.unwrap();
        assert!(asked.elapsed() <= 10 * MS, "{:?}", asked.elapsed());
        rig.calls();
    }
    // The same without a visit in between.
    for _ in 0..20 {
        sleep(MAX_PAUSE).await;
        rig.connect(Act::Work(MS)).breaks.notify_one();
        sleep(10 * MS).await;
        assert_eq!(rig.calls(), [Call::Connect]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_breaks_at_every_addition_is_retried_slowly() {
    let rig = Rig::up(Limits::default()).await;
    for _ in 0..1000 {
        rig.connect(Act::Work(Duration::ZERO)).add(Act::Fail(Duration::ZERO, lost()));
    }
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        let asked = Instant::now();
        assert!(rig.counter.hit().await.is_err());
        assert!(asked.elapsed() <= Limits::default().deadline, "{:?}", asked.elapsed());
        sleep(MS).await;
    }
    let attempts = rig.calls().iter().filter(|c| **c == Call::Connect).count();
    assert!(attempts < 30, "{attempts} attempts in 10 s");
}

#[test]
fn attempts_slow_down_to_one_a_second_and_spread() {
    let table = [(0, 0), (1, 0), (2, 50), (3, 100), (6, 800), (7, 1000), (u32::MAX, 1000)];
    for (failures, ms) in table {
        let full = Duration::from_millis(ms);
        assert_eq!(backoff(failures, 0.0), full);
        assert_eq!(backoff(failures, 1.0), full / 2);
    }
}
