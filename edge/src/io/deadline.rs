//! A timeout that is cheap to postpone.
//!
//! A proxy sets and clears several timeouts per request, and hardly any fires. Resetting a tokio timer touches the
//! timer wheel every time. A [`Deadline`] only records a later time and resets its timer when that fires too early, so
//! a busy connection touches the wheel once per timeout period, not once per request.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Long enough to mean never, short enough for any clock arithmetic.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A deadline that can be set, moved and cleared. The task that waits for it polls it.
#[derive(Debug)]
pub struct Deadline {
    /// The timer; never later than `at`.
    sleep: Pin<Box<Sleep>>,
    /// When it is due; `None` means never.
    at: Option<Instant>,
}

impl Deadline {
    /// Creates a deadline that is not set.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(now + NEVER)), at: None }
    }

    /// Sets it to `at`, replacing the previous time.
    pub fn set(&mut self, at: Instant) {
        self.at = Some(at);
        if at < self.sleep.deadline() {
            self.sleep.as_mut().reset(at);
        }
    }

    /// Clears it.
    pub fn clear(&mut self) {
        self.at = None;
    }

    /// Ready once it is due. Wakes the task then, and occasionally unnecessarily.
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
