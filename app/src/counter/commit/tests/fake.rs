//! A store that follows a script, and a counter on it.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::counter::{
    Counter, Limits,
    error::{CounterError, StoreError},
    metrics::CounterMetrics,
    store::{Addition, Store},
};

/// What a call of the fake store does. Every call takes the next act from its script.
pub(super) enum Act {
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
pub(super) enum Call {
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
pub(super) struct Rig {
    pub(super) counter: Counter,
    connects: mpsc::UnboundedSender<Act>,
    pub(super) adds: mpsc::UnboundedSender<Act>,
    pub(super) calls: Arc<Mutex<Vec<Call>>>,
    pub(super) breaks: Arc<Notify>,
}

pub(super) const MS: Duration = Duration::from_millis(1);

pub(super) fn rig(limits: Limits) -> Rig {
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
    pub(super) fn connect(&self, act: Act) -> &Self {
        self.connects.send(act).unwrap();
        self
    }

    pub(super) fn add(&self, act: Act) -> &Self {
        self.adds.send(act).unwrap();
        self
    }

    pub(super) fn hit(&self) -> JoinHandle<(Result<u64, CounterError>, Instant)> {
        let counter = self.counter.clone();
        tokio::spawn(async move { (counter.hit().await, Instant::now()) })
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// A rig whose store is up and whose calls so far are cleared.
    pub(super) async fn up(limits: Limits) -> Self {
        let rig = rig(limits);
        rig.connect(Act::Work(MS)).add(Act::Work(MS));
        assert_eq!(rig.counter.hit().await.unwrap(), 1);
        rig.calls();
        rig
    }
}

pub(super) fn lost() -> StoreError {
    StoreError::Lost("reset".into())
}

pub(super) fn refused() -> StoreError {
    StoreError::Refused("READONLY".into())
}
