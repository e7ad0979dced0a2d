//! Waiting with a deadline. The tests sleep nowhere else.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// The deadline for what takes well under a second on an idle machine. It only guards against hangs: it is generous,
/// because a slow machine must not fail a test, and costs nothing, because the wait ends when the condition holds.
pub const SOON: Duration = Duration::from_secs(20);

const BETWEEN_CHECKS: Duration = Duration::from_millis(10);

/// Checks `condition` repeatedly until it is true.
///
/// # Panics
/// When `within` has passed: "`what` did not happen within ...".
pub async fn eventually(what: &str, within: Duration, mut condition: impl AsyncFnMut() -> bool) {
    eventually_some(what, within, async || condition().await.then_some(())).await;
}

/// Checks `condition` repeatedly until it returns a value, and returns that value.
///
/// # Panics
/// When `within` has passed.
pub async fn eventually_some<T>(what: &str, within: Duration, condition: impl AsyncFnMut() -> Option<T>) -> T {
    match try_eventually(within, condition).await {
        Some(value) => value,
        None => panic!("{what} did not happen within {within:?}"),
    }
}

/// Checks `condition` repeatedly until it returns a value; returns `None` when `within` has passed, for a caller that
/// can say more about the failure.
pub async fn try_eventually<T>(within: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let poll = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            pause(BETWEEN_CHECKS).await;
        }
    };
    tokio::time::timeout(within, poll).await.ok()
}

/// Checks that `condition` holds throughout `period`: for what must *not* happen.
///
/// # Panics
/// At the first check that finds it false.
pub async fn throughout(what: &str, period: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + period;
    while Instant::now() < end {
        assert!(condition().await, "{what} did not stay so");
        pause(BETWEEN_CHECKS).await;
    }
}

/// Waits for `future`, at most `within`.
///
/// # Panics
/// When `within` has passed.
pub async fn deadline<T>(what: &str, within: Duration, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(within, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within {within:?}"),
    }
}

/// A pause that is part of a peer's behaviour, such as a slow answer, and never a substitute for a condition.
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
