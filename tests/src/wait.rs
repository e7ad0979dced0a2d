//! Waiting with a deadline. The only place of the tests that sleeps.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// The deadline for what takes well under a second on an idle machine. Generous, because a slow machine
/// must not fail a test, and free, because a condition that holds ends the wait at once.
pub const SOON: Duration = Duration::from_secs(20);

const BETWEEN_CHECKS: Duration = Duration::from_millis(10);

/// Checks `condition` again and again until it is true.
///
/// # Panics
/// When `within` has passed: "`what` did not happen within ...".
pub async fn eventually(what: &str, within: Duration, mut condition: impl AsyncFnMut() -> bool) {
    eventually_some(what, within, async || condition().await.then_some(())).await;
}

/// Checks `condition` again and again until it gives a value, and returns that.
///
/// # Panics
/// When `within` has passed.
pub async fn eventually_some<T>(what: &str, within: Duration, condition: impl AsyncFnMut() -> Option<T>) -> T {
    match try_eventually(within, condition).await {
        Some(value) => value,
        None => panic!("{what} did not happen within {within:?}"),
    }
}

/// Checks `condition` again and again until it gives a value; `None` when `within` has passed, for a
/// caller that has more to say about it.
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

/// Checks that `condition` stays true for all of `period`: for what must *not* happen.
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

/// A pause that is part of a peer's behaviour (a slow answer), never a wait for luck.
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
