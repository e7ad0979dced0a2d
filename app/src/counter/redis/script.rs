//! The script that counts, and what Redis's answers mean.

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};

use crate::counter::{Addition, Doubt, StoreError};

/// The tutorial's key.
const KEY: &str = "hits";

const SCRIPT: &str = include_str!("count.lua");

/// How long Redis remembers the last batch of a producer. Far longer than a batch is sent again, so that
/// clocks may differ; short enough that the records of processes that are gone do not pile up.
const LIFETIME_MS: u64 = 60 * 60 * 1000;

/// Who sends batches: one counter of one process.
#[derive(Debug)]
pub(super) struct Producer {
    record: String,
}

impl Producer {
    pub(super) fn new() -> Self {
        Self { record: format!("{KEY}:producer:{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)) }
    }
}

/// Loads the script; the answer is its digest.
pub(super) fn load() -> Cmd {
    let mut command = redis::cmd("SCRIPT");
    command.arg("LOAD").arg(SCRIPT);
    command
}

/// The script by its digest, or whole, which also loads it, without one. The count cannot be below
/// `floor` before.
pub(super) fn count(digest: Option<&str>, producer: &Producer, addition: Addition, floor: u64) -> Cmd {
    let mut command = match digest {
        Some(digest) => redis::cmd("EVALSHA").arg(digest).to_owned(),
        None => redis::cmd("EVAL").arg(SCRIPT).to_owned(),
    };
    command.arg(2).arg(KEY).arg(&producer.record);
    command.arg(addition.sequence).arg(addition.hits).arg(LIFETIME_MS).arg(floor);
    command
}

/// What the script did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    /// It counted.
    Counted,
    /// It had counted this batch before.
    Repeated,
    /// It counted, after the count had been found below the floor.
    Raised,
}

/// Reads the script's answer: what it did and the count after the addition.
pub(super) fn done(answer: Value) -> Result<(Done, u64), StoreError> {
    let (done, text): (String, String) =
        redis::from_redis_value(answer).map_err(|error| StoreError::Lost(error.into()))?;
    let done = match done.as_str() {
        "counted" => Done::Counted,
        "repeated" => Done::Repeated,
        "raised" => Done::Raised,
        "negative" => return Err(StoreError::NotACount(format!("it is below zero ({text})"))),
        // A newer batch of ours was counted: nobody can have sent it but a second owner of our name.
        _ => return Err(StoreError::Refused(format!("a batch after this one was counted ({done} {text})").into())),
    };
    let count = text.parse().map_err(|_| StoreError::NotACount(text))?;
    Ok((done, count))
}

/// The script is not in the server's cache; it did nothing.
pub(super) fn is_missing(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Too few replicas are connected for the server's `min-replicas-to-write`; nothing was counted.
pub(super) fn lacks_replicas(error: &RedisError) -> bool {
    error.code() == Some("NOREPLICAS")
}

/// What it means that there is no connection.
pub(super) fn not_connected(error: RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => {
            StoreError::Refused(error.into())
        }
        _ => StoreError::Connect(error.into()),
    }
}

/// What it means that an addition failed.
pub(super) fn not_counted(error: RedisError) -> StoreError {
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        // The texts are those of Redis's own source; they have no codes of their own.
        ErrorKind::Server(_) | ErrorKind::Extension
            if error.code() == Some("WRONGTYPE")
                || detail.contains("WRONGTYPE")
                || detail.contains("not an integer")
                || detail.contains("would overflow") =>
        {
            StoreError::NotACount(detail.to_owned())
        }
        _ if lacks_replicas(&error) => StoreError::Unconfirmed(Doubt::NoReplica),
        ErrorKind::Server(_) | ErrorKind::Extension => StoreError::Refused(error.into()),
        _ => StoreError::Lost(error.into()),
    }
}
