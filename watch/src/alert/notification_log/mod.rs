//! What the instances have announced, kept where all of them can see it.
//!
//! The [`NotificationLog`] is one small value. An instance reads it, decides, and writes it back if no other
//! instance has written meanwhile. Every use has a time limit, since an alert must not wait for the machine that
//! it is about.

mod log;
mod redis;
mod store;

use std::{sync::Arc, time::Duration};

use self::store::UPDATE_TIMEOUT;
pub use self::{
    log::{Announcement, ClaimRequest, ClaimResult, LogEntry, NotificationLog, Status, covers},
    redis::RedisStore,
    store::{Answer, LogError, Snapshot, Store},
};
use crate::cluster_state::Millis;

/// The log that the instances share, wherever it is stored.
#[derive(Clone, Debug, Default)]
pub struct SharedLog {
    store: Option<Arc<dyn Store>>,
}

impl SharedLog {
    /// Creates a log in `store`. Without a store every update fails.
    #[must_use]
    pub fn new(store: Option<Arc<dyn Store>>) -> Self {
        Self { store }
    }

    /// A store is configured.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.store.is_some()
    }

    /// Updates the log. `change` may be called several times; only its last result counts.
    ///
    /// # Errors
    /// The log cannot be read or written now. It is then unknown whether it was written.
    pub async fn update<T>(&self, change: impl FnMut(&mut NotificationLog, Millis) -> T) -> Result<T, LogError> {
        let store = self.store.as_ref().ok_or(LogError::None)?;
        let changed = tokio::time::timeout(UPDATE_TIMEOUT, try_update(store.as_ref(), change));
        changed.await.unwrap_or(Err(LogError::TimedOut))
    }
}

async fn try_update<T>(
    store: &dyn Store,
    mut change: impl FnMut(&mut NotificationLog, Millis) -> T,
) -> Result<T, LogError> {
    const MAX_ATTEMPTS: u32 = 8;
    for attempt in 0..MAX_ATTEMPTS {
        let Snapshot { version, text, now } = store.load().await?;
        // A text that cannot be parsed was written by another version of this program, or is damaged. Only the
        // record of what was announced is lost.
        let before: NotificationLog = serde_json::from_str(&text).unwrap_or_default();
        let mut log = before.clone();
        log.clamp_times(now);
        let result = change(&mut log, now);
        log.prune(now);
        if log == before {
            return Ok(result);
        }
        let text = serde_json::to_string(&log).map_err(|error| LogError::Store(error.to_string()))?;
        if store.swap(&version, text).await? {
            return Ok(result);
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..10 << attempt.min(4)))).await;
    }
    Err(LogError::Contended)
}

#[cfg(test)]
pub(super) mod memory;
