//! Where the log is kept.

use std::{fmt, future::Future, pin::Pin, time::Duration};

use crate::cluster_state::Millis;

/// For reading, deciding and writing together. Longer, and the leader goes on without it.
pub(super) const UPDATE_TIMEOUT: Duration = Duration::from_millis(1500);

/// What a store's method gives back.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, LogError>> + Send + 'a>>;

/// Where the log is kept.
pub trait Store: fmt::Debug + Send + Sync {
    /// Reads it.
    fn load(&self) -> Answer<'_, Snapshot>;

    /// Writes it, if it still has this version; says whether it had.
    fn swap(&self, version: &str, text: String) -> Answer<'_, bool>;
}

/// The log at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Another one after each change; empty where there is no log yet.
    pub version: String,
    /// The log as JSON; empty where there is none yet.
    pub text: String,
    /// What the keeper's clock says.
    pub now: Millis,
}

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Nobody keeps one.
    #[error("no Redis is configured")]
    None,
    /// No answer in time.
    #[error("no answer within {UPDATE_TIMEOUT:?}")]
    TimedOut,
    /// Others write all the time.
    #[error("others were faster, again and again")]
    Contended,
    /// Redis says something else.
    #[error("{0}")]
    Store(String),
}
