//! What the instances have announced, kept where all of them can see it.
//!
//! The [`NotificationLog`] is one small value. Whoever changes it reads it, decides, and writes it back if nobody else
//! has meanwhile. Every use is bounded: an alert must not wait for the very machine that it is about.

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

/// The log, wherever it is kept.
#[derive(Clone, Debug, Default)]
pub struct SharedLog {
    store: Option<Arc<dyn Store>>,
}

impl SharedLog {
    /// The one that `store` keeps; with none, every use fails.
    #[must_use]
    pub fn new(store: Option<Arc<dyn Store>>) -> Self {
        Self { store }
    }

    /// Somebody keeps it.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.store.is_some()
    }

    /// Changes the log. `change` may be called several times, and only the last result counts.
    ///
    /// # Errors
    /// The log cannot be read or written now. Whether it was written is then unknown.
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
        // One that cannot be read is from another version of this program, or damaged; nothing is lost but
        // what was announced.
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
