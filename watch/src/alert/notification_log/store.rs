//! Where the log is stored.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use crate::cluster_state::Millis;

/// The time limit for reading, deciding and writing together. After that, the leader continues without the log.
pub(super) const UPDATE_TIMEOUT: Duration = Duration::from_millis(1500);

/// The future that a store's method returns.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, LogError>> + Send + 'a>>;

/// Where the log is stored.
pub trait Store: fmt::Debug + Send + Sync {
    /// Reads the log.
    fn load(&self) -> Answer<'_, Snapshot>;

    /// Writes the log if it still has this version, and returns whether it had.
    fn swap(&self, version: &str, text: String) -> Answer<'_, bool>;
}

/// The log as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Changes with every write; empty if there is no log yet.
    pub version: String,
    /// The log as JSON; empty if there is no log yet.
    pub text: String,
    /// The time by the store's clock.
    pub now: Millis,
}

/// Why the log is unavailable.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No store is configured.
    #[error("no Redis is configured")]
    None,
    /// The time limit has passed.
    #[error("no answer within {UPDATE_TIMEOUT:?}")]
    TimedOut,
    /// Other instances kept writing.
    #[error("other instances kept writing")]
    Contended,
    /// The store failed.
    #[error("{0}")]
    Store(String),
}
