//! How long an endpoint has given no answer although it owes some.
//!
//! Each worker notes when it has sent a request completely and when the head of a response comes, in a copy of its own:
//! some stores to cache lines that no other core writes. A single slow request is no silence while others are answered.
//! Pure; atomic numbers, because other workers read them.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::counter::Counter;

/// What one worker saw. Only that worker writes it.
#[derive(Debug, Default)]
pub struct Silence {
    /// Requests that were sent completely and have no response yet: a gauge.
    owed: Counter,
    /// When the first of them was sent, or the first after the last answer to this worker, in nanoseconds.
    since: AtomicU64,
    /// When the last request was sent, in nanoseconds.
    sent: AtomicU64,
    /// When the last response began, in nanoseconds.
    answered: AtomicU64,
}

impl Silence {
    /// Notes that a request was sent completely. `now` is the time since any moment, which is the same for all calls
    /// and workers.
    pub fn sent(&self, now: Duration) {
        if self.owed.value() == 0 || self.since.load(Relaxed) < self.answered.load(Relaxed) {
            self.since.store(nanos(now), Relaxed);
        }
        self.sent.store(nanos(now), Relaxed);
        self.owed.add(1);
    }

    /// Notes that a response began.
    pub fn answered(&self, now: Duration) {
        self.answered.store(nanos(now), Relaxed);
    }

    /// Notes that no response is awaited any more for a request that was sent.
    pub fn ended(&self) {
        self.owed.sub(1);
    }

    /// How long the worker itself has heard nothing; 0 if nothing is owed.
    #[must_use]
    pub fn lasts(&self, now: Duration) -> Duration {
        of_all(|| std::iter::once(self), now)
    }
}

/// How long no worker has heard anything; 0 if nothing is owed that was sent after the last answer. What was sent before
/// it is a slow request, such as a long poll, and no silence.
#[must_use]
pub fn of_all<'a, W: Iterator<Item = &'a Silence>>(workers: impl Fn() -> W, now: Duration) -> Duration {
    let answered = workers().map(|worker| worker.answered.load(Relaxed)).max().unwrap_or_default();
    let owing = workers().filter(|worker| worker.owed.value() > 0 && worker.sent.load(Relaxed) >= answered);
    let since = owing.map(|worker| worker.since.load(Relaxed).max(answered)).min();
    since.map_or(Duration::ZERO, |since| Duration::from_nanos(nanos(now).saturating_sub(since)))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn silence_begins_with_the_oldest_request_and_again_with_each_answer() {
        let worker = Silence::default();
        assert_eq!(worker.lasts(at(900)), at(0), "nothing is owed");
        worker.sent(at(1000));
        worker.sent(at(1030));
        assert_eq!(worker.lasts(at(1050)), at(50));
        worker.answered(at(1060));
        worker.ended();
        assert_eq!(worker.lasts(at(5000)), at(0), "a slow request is no silence");
        worker.sent(at(5000));
        assert_eq!(worker.lasts(at(5040)), at(40), "but the next one may be");
        worker.ended();
        worker.ended();
        assert_eq!(worker.lasts(at(8000)), at(0));
        // How long it was idle before does not count.
        worker.sent(at(9000));
        assert_eq!(worker.lasts(at(9010)), at(10));
    }

    #[test]
    fn an_answer_to_any_worker_ends_the_silence_of_all() {
        let workers = [Silence::default(), Silence::default()];
        workers[0].sent(at(100));
        workers[1].sent(at(200));
        assert_eq!(of_all(|| workers.iter(), at(300)), at(200));
        workers[1].answered(at(290));
        workers[1].ended();
        assert_eq!((of_all(|| workers.iter(), at(300)), workers[0].lasts(at(300))), (at(0), at(200)));
        workers[1].sent(at(295));
        assert_eq!(of_all(|| workers.iter(), at(300)), at(5));
        workers[1].ended();
        assert_eq!(of_all(|| workers[1..].iter(), at(300)), at(0));
    }
}
