//! What the instances have announced, kept where all of them can see it.
//!
//! The [`Book`] is one small value. Whoever changes it reads it, decides, and writes it back if nobody else
//! has meanwhile. Every use is bounded: an alert must not wait for the very machine that it is about.

mod log;
mod redis;
mod store;

use std::{sync::Arc, time::Duration};

use self::store::BOUND;

pub use self::{
    log::{Ask, Book, Told, Verdict, Want, Word, covers},
    redis::RedisStore,
    store::{Answer, LedgerError, Snapshot, Store},
};
use crate::cluster_state::Millis;

/// The book, wherever it is kept.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    store: Option<Arc<dyn Store>>,
}

impl Ledger {
    /// The one that `store` keeps; with none, every use fails.
    #[must_use]
    pub fn new(store: Option<Arc<dyn Store>>) -> Self {
        Self { store }
    }

    /// Somebody keeps it.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.store.is_some()
    }

    /// Changes the book. `change` may be called several times, and only the last result counts.
    ///
    /// # Errors
    /// The book cannot be read or written now. Whether it was written is then unknown.
    pub async fn update<T>(&self, change: impl FnMut(&mut Book, Millis) -> T) -> Result<T, LedgerError> {
        let store = self.store.as_ref().ok_or(LedgerError::None)?;
        let changed = tokio::time::timeout(BOUND, try_update(store.as_ref(), change));
        changed.await.unwrap_or(Err(LedgerError::TimedOut))
    }
}

async fn try_update<T>(store: &dyn Store, mut change: impl FnMut(&mut Book, Millis) -> T) -> Result<T, LedgerError> {
    const TRIES: u32 = 8;
    for attempt in 0..TRIES {
        let Snapshot { version, text, now } = store.load().await?;
        // One that cannot be read is from another version of this program, or damaged; nothing is lost but
        // what was announced.
        let before: Book = serde_json::from_str(&text).unwrap_or_default();
        let mut book = before.clone();
        book.settle(now);
        let result = change(&mut book, now);
        book.prune(now);
        if book == before {
            return Ok(result);
        }
        let text = serde_json::to_string(&book).map_err(|error| LedgerError::Store(error.to_string()))?;
        if store.swap(&version, text).await? {
            return Ok(result);
        }
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..10 << attempt.min(4)))).await;
    }
    Err(LedgerError::Busy)
}

#[cfg(test)]
pub(super) mod memory;
