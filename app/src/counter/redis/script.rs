//! The script that counts, and what Redis's answers mean.

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};

use crate::counter::{
    error::{StoreError, UnmetRequirement},
    store::Addition,
};

/// The tutorial's key.
const KEY: &str = "hits";

const SCRIPT: &str = include_str!("count.lua");

/// How long Redis remembers the last batch of a producer. Far longer than a batch is repeated, so that
/// clocks may differ; short enough that the records of ended processes do not pile up.
const LIFETIME_MS: u64 = 60 * 60 * 1000;

/// The sender of batches: one counter of one process.
#[derive(Debug)]
pub(super) struct Producer {
    record: String,
}

impl Producer {
    pub(super) fn new() -> Self {
        Self { record: format!("{KEY}:producer:{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)) }
    }
}

/// The command that loads the script; its answer is the digest.
pub(super) fn load() -> Cmd {
    let mut command = redis::cmd("SCRIPT");
    command.arg("LOAD").arg(SCRIPT);
    command
}

/// The command that runs the script: by its digest, or without one by its text, which also loads it. The count
/// is raised to `floor` first if it is below.
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
pub(super) enum Outcome {
    /// It counted.
    Counted,
    /// It had counted this batch before.
    Repeated,
    /// It raised the count to the floor first, then counted.
    Raised,
}

/// Parses the script's answer: what it did and the count after the addition.
pub(super) fn outcome(answer: Value) -> Result<(Outcome, u64), StoreError> {
    let (outcome, text): (String, String) =
        redis::from_redis_value(answer).map_err(|error| StoreError::Lost(error.into()))?;
    let outcome = match outcome.as_str() {
        "counted" => Outcome::Counted,
        "repeated" => Outcome::Repeated,
        "raised" => Outcome::Raised,
        "negative" => return Err(StoreError::NotACount(format!("it is below zero ({text})"))),
        // A newer batch was counted under our name: only a second producer of that name can have sent it.
        _ => return Err(StoreError::Refused(format!("a later batch was counted already ({outcome} {text})").into())),
    };
    let count = text.parse().map_err(|_| StoreError::NotACount(text))?;
    Ok((outcome, count))
}

/// Whether the script is not in the server's cache; it did nothing then.
pub(super) fn is_missing(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}

/// Whether too few replicas are connected for the server's `min-replicas-to-write`; nothing was counted then.
fn lacks_replicas(error: &RedisError) -> bool {
    error.code() == Some("NOREPLICAS")
}

/// What an error while connecting means.
pub(super) fn not_connected(error: RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => {
            StoreError::Refused(error.into())
        }
        _ => StoreError::Connect(error.into()),
    }
}

/// What an error of an addition means.
pub(super) fn not_counted(error: RedisError) -> StoreError {
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        // The texts are from Redis's source; these errors have no codes of their own.
        ErrorKind::Server(_) | ErrorKind::Extension
            if error.code() == Some("WRONGTYPE")
                || detail.contains("WRONGTYPE")
                || detail.contains("not an integer")
                || detail.contains("would overflow") =>
        {
            StoreError::NotACount(detail.to_owned())
        }
        _ if lacks_replicas(&error) => StoreError::Unconfirmed(UnmetRequirement::Replica),
        ErrorKind::Server(_) | ErrorKind::Extension => StoreError::Refused(error.into()),
        _ => StoreError::Lost(error.into()),
    }
}
