//! The task against a scripted store, in paused time.

use std::{sync::Mutex, time::Duration};

use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::counter::{Counter, Limits, metrics::CounterMetrics};

/// What a call of the fake store does. Every call takes the next act from its script.
enum Act {
    /// Answer properly after this time.
    Work(Duration),
    /// Fail after this time.
    Fail(Duration, StoreError),
    /// Never answer.
    Hang,
    /// Panic, like a bug.
    Panic,
}

#[derive(Debug, PartialEq, Eq)]
enum Call {
    Connect,
    Add(u64),
}

/// A store whose `connect` and `add` follow two scripts, and which records its calls.
struct Fake {
    count: u64,
    /// The last batch's sequence number, and the count after it.
    last: Option<(u64, u64)>,
    connects: mpsc::UnboundedReceiver<Act>,
    adds: mpsc::UnboundedReceiver<Act>,
    calls: Arc<Mutex<Vec<Call>>>,
    /// The connection breaks while it is idle.
    breaks: Arc<Notify>,
}

/// A counter on a [`Fake`], with the fake's scripts and its record of calls.
struct Rig {
    counter: Counter,
    connects: mpsc::UnboundedSender<Act>,
    adds: mpsc::UnboundedSender<Act>,
    calls: Arc<Mutex<Vec<Call>>>,
    breaks: Arc<Notify>,
}

const MS: Duration = Duration::from_millis(1);

fn rig(limits: Limits) -> Rig {
    let (connects, connects_rx) = mpsc::unbounded_channel();
    let (adds, adds_rx) = mpsc::unbounded_channel();
    let calls = Arc::default();
    let breaks = Arc::new(Notify::new());
    let (noted, broken) = (Arc::clone(&calls), Arc::clone(&breaks));
    let fake = Fake { count: 0, last: None, connects: connects_rx, adds: adds_rx, calls: noted, breaks: broken };
    let counter = Counter::start(fake, limits, CounterMetrics::default()).unwrap();
    Rig { counter, connects, adds, calls, breaks }
}

impl Fake {
    fn note(&self, call: Call) {
        self.calls.lock().unwrap().push(call);
    }
}

async fn act(script: &mut mpsc::UnboundedReceiver<Act>) -> Result<(), StoreError> {
    match script.recv().await {
        Some(Act::Work(time)) => {
            sleep(time).await;
            Ok(())
        }
        Some(Act::Fail(time, error)) => {
            sleep(time).await;
            Err(error)
        }
        Some(Act::Panic) => panic!("as scripted"),
        Some(Act::Hang) | None => std::future::pending().await,
    }
}

impl Store for Fake {
    async fn connect(&mut self) -> Result<(), StoreError> {
        self.note(Call::Connect);
        act(&mut self.connects).await
    }

    async fn add(&mut self, Addition { sequence, hits }: Addition) -> Result<u64, StoreError> {
        self.note(Call::Add(hits));
        let done = act(&mut self.adds).await;
        // Counted, and only the answer is lost.
        let counted = matches!(done, Ok(()) | Err(StoreError::Lost(_)));
        if counted && self.last.is_none_or(|(last, _)| last < sequence) {
            self.count += hits;
            self.last = Some((sequence, self.count));
        }
        done?;
        match self.last {
            Some((last, count)) if last == sequence => Ok(count),
            other => panic!("{sequence} after {other:?}"),
        }
    }

    fn can_repeat(&self, failure: &StoreError) -> bool {
        !matches!(failure, StoreError::Refused(_))
    }

    async fn disconnected(&mut self) -> StoreError {
        self.breaks.notified().await;
        lost()
    }
}

impl Rig {
    fn connect(&self, act: Act) -> &Self {
        self.connects.send(act).unwrap();
        self
    }

    fn add(&self, act: Act) -> &Self {
        self.adds.send(act).unwrap();
        self
    }

    fn hit(&self) -> JoinHandle<(Result<u64, CounterError>, Instant)> {
        let counter = self.counter.clone();
        tokio::spawn(async move { (counter.hit().await, Instant::now()) })
    }

    fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// A rig whose store is up and whose calls so far are cleared.
    async fn up(limits: Limits) -> Self {
        let rig = rig(limits);
        rig.connect(Act::Work(MS)).add(Act::Work(MS));
        assert_eq!(rig.counter.hit().await.unwrap(), 1);
        rig.calls();
        rig
    }
}

fn lost() -> StoreError {
    StoreError::Lost("reset".into())
}

fn refused() -> StoreError {
    StoreError::Refused("READONLY".into())
}

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
async fn a_deadline_beyond_the_longest_is_capped() {
    let rig = Rig::up(Limits { deadline: Duration::MAX, ..Limits::default() }).await;
    rig.add(Act::Hang);
    let (start, (result, at)) = (Instant::now(), rig.hit().await.unwrap());
    assert!(matches!(result, Err(CounterError::Late)), "{result:?}");
    assert_eq!(at - start, Limits::LONGEST);
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

#[tokio::test(start_paused = true)]
async fn a_silent_connect_is_given_up_after_a_second() {
    let rig = rig(Limits::default());
    rig.connect(Act::Hang);
    let start = Instant::now();
    let (result, at) = rig.hit().await.unwrap();
    assert!(matches!(&result, Err(CounterError::Store(e)) if matches!(**e, StoreError::Silent)));
    assert_eq!(at - start, CONNECT_TIMEOUT);
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
async fn the_store_closes_after_the_last_handle() {
    let rig = Rig::up(Limits::default()).await;
    let clone = rig.counter.clone();
    drop(rig.counter);
    sleep(MS).await;
    assert!(!rig.adds.is_closed());
    drop(clone);
    timeout(Duration::from_secs(1), rig.adds.closed()).await.unwrap();
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
