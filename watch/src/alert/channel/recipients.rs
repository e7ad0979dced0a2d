//! Sends to several recipients within a time limit, and says what became of each.

use std::{future::Future, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout_at};

use super::send_error::{RetryHint, SendError};

/// The most recipients that an error names.
const MAX_NAMED: usize = 3;

/// Makes one attempt, which ends at `end` at the latest.
pub(super) async fn until(end: Instant, attempt: impl Future<Output = Result<(), SendError>>) -> Result<(), SendError> {
    timeout_at(end, attempt).await.unwrap_or_else(|_| Err(SendError::timed_out()))
}

/// Sends to each recipient, until `end` at the latest, and returns the outcomes in their order. Once some have the
/// message, the others are tried once more. If none has it, that is left to the caller, who retries it for all.
pub(super) async fn to_each<T, F>(recipients: &[T], end: Instant, send: impl Fn(&T) -> F) -> Vec<Result<(), SendError>>
where
    F: Future<Output = Result<(), SendError>>,
{
    const BREATH: Duration = Duration::from_secs(1);
    let left = || end.saturating_duration_since(Instant::now());
    // Half of the time, so that some is left to retry a recipient.
    let half = if recipients.len() > 1 { Instant::now() + left() / 2 } else { end };
    let first = join_all(recipients.iter().map(|to| until(half, send(to)))).await;
    if first.iter().all(Result::is_err) {
        return first;
    }
    // A server that asks for more time gets it.
    let is_worth_a_retry =
        |outcome: &Result<(), SendError>| matches!(outcome, Err(error) if error.hint == RetryHint::Again(None));
    if first.iter().any(is_worth_a_retry) {
        sleep(BREATH.min(left() / 4)).await;
    }
    let again = recipients.iter().zip(first).map(|(to, outcome)| {
        let sending = is_worth_a_retry(&outcome).then(|| send(to));
        async move {
            match sending {
                Some(sending) => until(end, sending).await,
                None => outcome,
            }
        }
    });
    join_all(again).await
}

/// Combines the outcomes for all recipients into that of the message.
pub(super) fn combined(recipients: &[String], outcomes: Vec<Result<(), SendError>>) -> Result<(), SendError> {
    let failed: Vec<_> = recipients
        .iter()
        .zip(outcomes)
        .filter_map(|(recipient, outcome)| Some((recipient.clone(), outcome.err()?)))
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    if failed.len() == recipients.len() {
        // A transient error is returned before a permanent one, so that all are retried.
        let worth = |error: &SendError| matches!(error.hint, RetryHint::Again(_));
        let error = failed.into_iter().map(|(_, error)| error).max_by_key(worth);
        return Err(error.unwrap_or_else(SendError::timed_out));
    }
    let mut reasons: Vec<_> =
        failed.iter().take(MAX_NAMED).map(|(recipient, error)| format!("{recipient}: {}", error.error)).collect();
    if failed.len() > MAX_NAMED {
        reasons.push(format!("and {} more", failed.len() - MAX_NAMED));
    }
    let error = format!("{} of {} recipients failed: {}", failed.len(), recipients.len(), reasons.join("; "));
    Err(SendError { error, hint: RetryHint::Partial, undelivered: failed })
}
