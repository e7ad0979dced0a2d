//! Sends to several recipients within a bound.

use std::{future::Future, time::Duration};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout_at};

use super::send_error::{Hint, Trouble};

/// One attempt, which ends at `end` at the latest.
pub(super) async fn until(end: Instant, attempt: impl Future<Output = Result<(), Trouble>>) -> Result<(), Trouble> {
    timeout_at(end, attempt).await.unwrap_or_else(|_| Err(Trouble::late()))
}

/// Sends to each of several, until `end` at the latest. Once some have it, only the others are tried again, and
/// no more than once: what everybody gets twice helps nobody.
pub(super) async fn to_each<T, F>(recipients: &[T], end: Instant, send: impl Fn(&T) -> F) -> Result<(), Trouble>
where
    F: Future<Output = Result<(), Trouble>>,
{
    const BREATH: Duration = Duration::from_secs(1);
    let left = || end.saturating_duration_since(Instant::now());
    // Half of the time, where somebody else may be left to be tried again.
    let half = if recipients.len() > 1 { Instant::now() + left() / 2 } else { end };
    let first = join_all(recipients.iter().map(|to| until(half, send(to)))).await;
    let failed: Vec<_> = recipients.iter().zip(first).filter_map(|(to, result)| Some((to, result.err()?))).collect();
    if failed.len() == recipients.len() {
        // What may pass says more than what will not.
        let worth = |trouble: &Trouble| matches!(trouble.hint, Hint::Again(_));
        return match failed.into_iter().map(|(_, trouble)| trouble).max_by_key(worth) {
            Some(trouble) => Err(trouble),
            None => Ok(()),
        };
    }
    if failed.iter().any(|(_, trouble)| trouble.hint != Hint::Hopeless) {
        sleep(BREATH.min(left() / 4)).await;
    }
    let again = failed.into_iter().map(|(to, trouble)| {
        let sending = (trouble.hint != Hint::Hopeless).then(|| send(to));
        async move {
            match sending {
                Some(sending) => until(end, sending).await.err(),
                None => Some(trouble),
            }
        }
    });
    let left: Vec<_> = join_all(again).await.into_iter().flatten().collect();
    match left.first() {
        None => Ok(()),
        Some(trouble) => {
            let error = format!("{} of {} did not get it: {}", left.len(), recipients.len(), trouble.error);
            Err(Trouble { error, hint: Hint::Partial })
        }
    }
}
