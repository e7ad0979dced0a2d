//! Sends to several recipients within a time limit.

use std::{future::Future, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout_at};

use super::send_error::{RetryHint, SendError};

/// Makes one attempt, which ends at `end` at the latest.
pub(super) async fn until(end: Instant, attempt: impl Future<Output = Result<(), SendError>>) -> Result<(), SendError> {
    timeout_at(end, attempt).await.unwrap_or_else(|_| Err(SendError::timed_out()))
}

/// Sends to each recipient, until `end` at the latest. Once some have the message, only the others are retried,
/// and only once: sending it to all again would produce duplicates.
pub(super) async fn to_each<T, F>(recipients: &[T], end: Instant, send: impl Fn(&T) -> F) -> Result<(), SendError>
where
    F: Future<Output = Result<(), SendError>>,
{
    const BREATH: Duration = Duration::from_secs(1);
    let left = || end.saturating_duration_since(Instant::now());
    // Half of the time, so that some is left to retry a recipient.
    let half = if recipients.len() > 1 { Instant::now() + left() / 2 } else { end };
    let first = join_all(recipients.iter().map(|to| until(half, send(to)))).await;
    let failed: Vec<_> = recipients.iter().zip(first).filter_map(|(to, result)| Some((to, result.err()?))).collect();
    if failed.len() == recipients.len() {
        // A transient error is returned before a permanent one, so that all are retried.
        let worth = |error: &SendError| matches!(error.hint, RetryHint::Again(_));
        return match failed.into_iter().map(|(_, error)| error).max_by_key(worth) {
            Some(error) => Err(error),
            None => Ok(()),
        };
    }
    if failed.iter().any(|(_, error)| error.hint != RetryHint::Permanent) {
        sleep(BREATH.min(left() / 4)).await;
    }
    let again = failed.into_iter().map(|(to, error)| {
        let sending = (error.hint != RetryHint::Permanent).then(|| send(to));
        async move {
            match sending {
                Some(sending) => until(end, sending).await.err(),
                None => Some(error),
            }
        }
    });
    let left: Vec<_> = join_all(again).await.into_iter().flatten().collect();
    match left.first() {
        None => Ok(()),
        Some(error) => {
            let error = format!("{} of {} recipients failed: {}", left.len(), recipients.len(), error.error);
            Err(SendError { error, hint: RetryHint::Partial })
        }
    }
}
