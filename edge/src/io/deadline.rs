//! A time-out that can be moved for nearly nothing.
//!
//! A proxy sets and clears several time-outs per request, and nearly none ever fires. A tokio timer
//! moved each time would touch the timer wheel each time. This one only notes a later deadline and, when
//! the timer underneath fires too early, sets it anew then: a busy connection touches the wheel once per
//! time-out period, not once per request.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Far enough to mean never, near enough for any clock arithmetic.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A deadline that may be set, moved and cleared; polled by the task that waits for it.
#[derive(Debug)]
pub struct Deadline {
    /// What the timer underneath is set to; never later than `at`.
    sleep: Pin<Box<Sleep>>,
    /// When it is due; `None` means not at all.
    at: Option<Instant>,
}

impl Deadline {
    /// A deadline that is not set.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(now + NEVER)), at: None }
    }

    /// Makes it due at `at`, in place of what was set.
    pub fn set(&mut self, at: Instant) {
        self.at = Some(at);
        if at < self.sleep.deadline() {
            self.sleep.as_mut().reset(at);
        }
    }

    /// It is not due any more.
    pub fn clear(&mut self) {
        self.at = None;
    }

    /// Ready once it is due. The task is woken for it, and now and then for nothing.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        while self.sleep.as_mut().poll(cx).is_ready() {
            if at <= self.sleep.deadline() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(at);
        }
        Poll::Pending
    }

    /// Waits until it is due.
    pub async fn due(&mut self) {
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_deadline_moved_later_fires_at_the_later_time() {
        let start = Instant::now();
        let mut deadline = Deadline::new(start);
        deadline.set(start + SECOND);
        deadline.set(start + 3 * SECOND);
        deadline.due().await;
        assert_eq!(Instant::now() - start, 3 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_moved_earlier_fires_at_the_earlier_time() {
        let start = Instant::now();
        let mut deadline = Deadline::new(start);
        deadline.set(start + 3 * SECOND);
        deadline.set(start + SECOND);
        deadline.due().await;
        assert_eq!(Instant::now() - start, SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cleared_deadline_does_not_fire_and_can_be_set_again() {
        let start = Instant::now();
        let mut deadline = Deadline::new(start);
        deadline.set(start + SECOND);
        deadline.clear();
        tokio::time::timeout(10 * SECOND, deadline.due()).await.unwrap_err();
        deadline.set(Instant::now() + SECOND);
        deadline.due().await;
        assert_eq!(Instant::now() - start, 11 * SECOND);
    }
}
