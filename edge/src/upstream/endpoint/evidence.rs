//! What requests report about an endpoint, and how that wakes its task on the control thread.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use super::Endpoint;
use crate::observe::silence;

impl Endpoint {
    /// Records that an attempt got a response head, whatever its status. Only reads unless a failure precedes it.
    pub fn succeeded(&self) {
        if self.failures_in_a_row.load(Relaxed) != 0 {
            self.failures_in_a_row.store(0, Relaxed);
            self.failed_connected.store(false, Relaxed);
        }
    }

    /// Records that an attempt was reset or timed out after it had a connection, and wakes the endpoint's task.
    pub fn failed(&self) {
        self.failed_connected.store(true, Relaxed);
        self.connect_failed();
    }

    /// Records that an attempt got no connection, and wakes the endpoint's task.
    pub fn connect_failed(&self) {
        increment(&self.failures_in_a_row);
        self.failure.notify_one();
    }

    /// Notes that it could not be reached, by a request or a check. Its outage goes on while its checks fail.
    pub fn note_unreachable(&self, now: Instant) {
        self.outage.note(now, self.is_down());
    }

    /// Records the status of a response, in a pool that ejects endpoints for consecutive server errors. Wakes the
    /// endpoint's task after an error.
    pub fn responded(&self, is_error: bool) {
        if is_error {
            increment(&self.errors_in_a_row);
            self.failure.notify_one();
        } else if self.errors_in_a_row.load(Relaxed) != 0 {
            self.errors_in_a_row.store(0, Relaxed);
        }
    }

    /// Records that a worker has sent a request completely.
    pub fn note_sent(&self, worker: usize, now: Instant) {
        self.stats.of(worker).silence.sent(self.suspicion.age(now));
    }

    /// Records that a worker got the head of a response.
    pub fn note_answered(&self, worker: usize, now: Instant) {
        self.suspicion.answered(now);
        self.stats.of(worker).silence.answered(self.suspicion.age(now));
    }

    /// Makes it suspect if it has been silent for longer than `limit`. What the worker itself knows is looked at first:
    /// the copies of the others are expensive to read.
    pub fn look_for_silence(&self, worker: usize, now: Instant, limit: impl FnOnce() -> Duration) {
        let age = self.suspicion.age(now);
        let own = self.stats.of(worker).silence.lasts(age);
        if !own.is_zero() {
            let limit = limit();
            if own > limit && silence::of_all(|| self.stats.iter().map(|stats| &stats.silence), age) > limit {
                self.suspicion.silent(now);
            }
        }
    }

    /// Returns the number of server errors since the last other response, in a pool that counts them.
    #[must_use]
    pub fn errors_in_a_row(&self) -> u32 {
        self.errors_in_a_row.load(Relaxed)
    }

    /// Returns the number of failed requests since the last successful one.
    #[must_use]
    pub fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row.load(Relaxed)
    }

    /// Whether all failed requests since the last successful one got no connection.
    #[must_use]
    pub fn was_unreachable(&self) -> bool {
        !self.failed_connected.load(Relaxed)
    }

    /// Resets the counts of failed requests and of server errors, when an ejection ends.
    pub fn reset_failures(&self) {
        self.succeeded();
        self.errors_in_a_row.store(0, Relaxed);
    }

    /// Records that it sent bytes that belong to no request. From now on each request gets a connection of its own: on
    /// a shared one, such bytes would be read as the response to the next visitor's request.
    pub fn sent_surplus(&self) {
        // The control thread logs it.
        self.sends_surplus.store(true, Relaxed);
    }

    /// Whether its connections may carry more requests than the one under way.
    #[must_use]
    pub fn allows_reuse(&self) -> bool {
        !self.sends_surplus.load(Relaxed) && !self.in_maintenance.load(Relaxed)
    }

    /// Records that a response announced a drain, and wakes the endpoint's task if that is news.
    pub fn announce_drain(&self) {
        if !self.announced_drain.swap(true, Relaxed) {
            self.drain.notify_one();
        }
    }

    /// Lets the next announcement wake the endpoint's task again, because the drain has ended.
    pub(in crate::upstream) fn forget_drain(&self) {
        self.announced_drain.store(false, Relaxed);
    }

    /// Waits until a response announces a drain. Only one task may wait: the endpoint's on the control thread.
    pub async fn wait_for_drain(&self) {
        loop {
            self.drain.notified().await;
            // Nobody waits during maintenance, and what was announced then is forgotten when it ends.
            if self.announced_drain.load(Relaxed) {
                return;
            }
        }
    }

    /// Waits until an attempt fails. Only one task may wait: the endpoint's on the control thread.
    pub async fn wait_for_failure(&self) {
        self.failure.notified().await;
    }

    /// Records that a request has waited long for its response, and wakes the endpoint's task if that is news.
    pub fn note_overdue(&self) {
        if !self.overdue.swap(true, Relaxed) {
            self.became_overdue.notify_one();
        }
    }

    /// Whether a request has waited long for its response since the last call.
    pub fn take_overdue(&self) -> bool {
        self.overdue.swap(false, Relaxed)
    }

    /// Waits until a request has waited long for its response. Only one task may wait: the endpoint's on the control
    /// thread.
    pub async fn wait_until_overdue(&self) {
        self.became_overdue.notified().await;
    }
}

/// Adds one. Saturates: a counter that wraps to zero would look like a success.
fn increment(counter: &AtomicU32) {
    // Workers fail at the same time, and none of the failures may be lost.
    let _before = counter.fetch_update(Relaxed, Relaxed, |count| count.checked_add(1));
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_that_was_forgotten_wakes_nobody() {
        let endpoint = Endpoint::new(([10, 0, 0, 1], 80).into(), "s".into(), 1, SystemTime::UNIX_EPOCH);
        let announced = async || timeout(Duration::from_secs(1), endpoint.wait_for_drain()).await.is_ok();
        endpoint.announce_drain();
        endpoint.forget_drain();
        assert!(!announced().await, "it was announced during maintenance");
        endpoint.announce_drain();
        assert!(announced().await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_is_suspect_while_it_owes_answers_and_gives_none_to_any_worker() {
        let endpoint = Endpoint::new(([10, 0, 0, 1], 80).into(), "s".into(), 2, SystemTime::UNIX_EPOCH);
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let is_suspect = |worker, millis| {
            endpoint.look_for_silence(worker, at(millis), || Duration::from_millis(50));
            endpoint.suspicion.evidence(at(millis), Duration::ZERO).is_some()
        };
        endpoint.note_sent(0, at(0));
        assert!(!is_suspect(0, 50) && !is_suspect(1, 60), "worker 1 does not look at the copy of the other");
        endpoint.note_answered(1, at(55));
        assert!(!is_suspect(0, 5000), "it answered the other worker later, so the first request is slow");
        endpoint.note_sent(0, at(5000));
        assert!(is_suspect(0, 5060) && is_suspect(1, 5070), "both know it then");
        endpoint.note_answered(0, at(5120));
        assert!(!is_suspect(0, 5121) && !is_suspect(1, 5121));
    }
}
