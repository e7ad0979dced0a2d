//! What can go wrong with the counter and its store.

use std::{error::Error, path::PathBuf, sync::Arc};

/// Why a hit has no number.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CounterError {
    /// The maximum number of hits is waiting already. This one was not counted.
    #[error("too many visits at once")]
    Busy,
    /// The deadline passed before the store answered. Whether the hit was counted is unknown.
    #[error("the store did not answer in time")]
    Late,
    /// The store failed, or is known to be down. The source says whether the hit may have been counted.
    #[error("the store is unavailable")]
    Store(#[source] Arc<StoreError>),
    /// The counter is closed.
    #[error("the counter is closed")]
    Closed,
}

impl CounterError {
    /// The reason as one short word for metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Late => "late",
            Self::Store(cause) => cause.reason(),
            Self::Closed => "closed",
        }
    }
}

/// Why a counter cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A counter needs a Tokio runtime to run its task on.
    #[error("a counter can only be opened on a Tokio runtime")]
    OutsideRuntime,
    /// Another process has the file open.
    #[error(
        "{0} is in use by another process: stop that process, or give each its own folder \
         (replicas of one process share one counter; several processes need Redis)"
    )]
    Locked(PathBuf),
    /// The file is damaged, or not the file of a count. It was not changed.
    #[error(
        "{0} is damaged and was left as it is: move it away, and counting continues after the number in the file \
         beside it (hits.reserved); if that is missing, put a copy from a backup in its place, which repeats the \
         numbers returned since"
    )]
    Damaged(PathBuf, #[source] Box<dyn Error + Send + Sync>),
    /// The file of the count is missing, and the file of the reserved numbers beside it is damaged. It was not changed.
    #[error(
        "{0} is damaged, and the count beside it is missing: write a number into it that exceeds every returned one, \
         and counting continues after that; if you remove the file instead, counting begins at 1"
    )]
    ReserveDamaged(PathBuf, #[source] Box<dyn Error + Send + Sync>),
    /// The file or its folder cannot be created, read or written.
    #[error("cannot open {0}")]
    File(PathBuf, #[source] Box<dyn Error + Send + Sync>),
}

/// Why a store did not count.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no connection. Nothing was counted.
    #[error("cannot connect to the store")]
    Connect(#[source] Box<dyn Error + Send + Sync>),
    /// The store was silent for too long. Whether it counted is unknown.
    #[error("the store does not answer")]
    Silent,
    /// The connection broke before the answer. Whether the store counted is unknown.
    #[error("the connection to the store broke")]
    Lost(#[source] Box<dyn Error + Send + Sync>),
    /// The store refused to count, such as a Redis that is a read-only replica, is still loading its data, or
    /// requires a password. Nothing was counted.
    #[error("the store refuses to count")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// The stored value cannot be counted up. Nothing was counted, unless a client stored a number below zero
    /// while we were connected: Redis has then counted up from there.
    #[error("the stored count is not a whole number from 0 to 2^63-1: {0}")]
    NotACount(String),
    /// The store has counted, or would, but a number returned now could be lost.
    #[error("{0}")]
    Unconfirmed(UnmetRequirement),
}

impl StoreError {
    /// The reason as one short word for metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Silent => "silent",
            Self::Lost(_) => "lost",
            Self::Refused(_) => "refused",
            Self::NotACount(_) => "not_a_count",
            Self::Unconfirmed(_) => "unconfirmed",
        }
    }
}

/// What a number still lacks before it may be returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnmetRequirement {
    /// A replica that has the addition.
    #[error("no replica has acknowledged the count")]
    Replica,
    /// Enough sentinels that confirm the master.
    #[error("too few sentinels confirm the master")]
    Votes,
    /// A sentinel that names the master.
    #[error("no sentinel names a master")]
    Master,
}

#[cfg(test)]
mod tests {
    use std::io;

    use process::chain;
    use redis::RedisError;

    use super::*;

    #[test]
    fn an_error_of_redis_is_displayed_once() {
        let refused = RedisError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        let error = CounterError::Store(Arc::new(StoreError::Connect(refused.into())));
        let text = chain(&error).to_string();
        assert!(text.starts_with("the store is unavailable: cannot connect to the store: "), "{text}");
        assert_eq!(text.matches("connection refused").count(), 1, "{text}");
    }
}
