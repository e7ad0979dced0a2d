//! The log in Redis: one hash with its text and its version.

use std::{fmt, future::Future, pin::Pin};

use redis_config::Connection;
use tokio::sync::Mutex;

use super::store::{Answer, LogError, Snapshot, Store};
use crate::cluster_state::Millis;

/// The log's key. It changes when the format of the text does.
const KEY: &str = "watch:alerts:1";

/// Longer than the log remembers anything.
const EXPIRES: Millis = 60 * 24 * 60 * 60_000;

/// Writes only over the version that was read.
const SWAP: &str = r"
if (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'book', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
";

type Connecting = Pin<Box<dyn Future<Output = Result<Connection, LogError>> + Send>>;

/// Stores the log in the Redis that a function connects to.
pub struct RedisStore {
    connect: Box<dyn Fn() -> Connecting + Send + Sync>,
    /// The last connection that worked.
    connection: Mutex<Option<Connection>>,
}

impl RedisStore {
    /// Creates a store. `connect` returns a connection to the current master. It is called again after each
    /// failure, so that a new master is found.
    pub fn new<C, F, T, E>(connect: C) -> Self
    where
        C: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Connection>,
        E: fmt::Display,
    {
        let connect = move || -> Connecting {
            let connecting = connect();
            Box::pin(
                async move { connecting.await.map(Into::into).map_err(|error| LogError::Store(error.to_string())) },
            )
        };
        Self { connect: Box::new(connect), connection: Mutex::new(None) }
    }

    async fn connection(&self) -> Result<Connection, LogError> {
        // Taken out, so that the next use begins with a new connection if the caller gives up on this one.
        match self.connection.lock().await.take() {
            Some(connection) => Ok(connection),
            None => (self.connect)().await,
        }
    }

    /// Keeps a connection that still works.
    async fn keep(&self, connection: Connection) {
        *self.connection.lock().await = Some(connection);
    }
}

fn failed(error: &redis::RedisError) -> LogError {
    LogError::Store(error.to_string())
}

impl Store for RedisStore {
    fn load(&self) -> Answer<'_, Snapshot> {
        Box::pin(async {
            let mut connection = self.connection().await?;
            let mut ask = redis::pipe();
            ask.cmd("TIME").cmd("HMGET").arg(KEY).arg("version").arg("book");
            type Loaded = ((Millis, Millis), (Option<String>, Option<String>));
            let answer: Result<Loaded, _> = ask.query_async(&mut connection).await;
            let ((seconds, micros), (version, text)) = answer.map_err(|error| failed(&error))?;
            self.keep(connection).await;
            Ok(Snapshot {
                version: version.unwrap_or_default(),
                text: text.unwrap_or_default(),
                now: seconds * 1000 + micros / 1000,
            })
        })
    }

    fn swap(&self, version: &str, text: String) -> Answer<'_, bool> {
        let version = version.to_owned();
        Box::pin(async move {
            let mut connection = self.connection().await?;
            // Unique, even after a loss of data.
            let next = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
            let mut swap = redis::cmd("EVAL");
            swap.arg(SWAP).arg(1).arg(KEY).arg(version).arg(next).arg(text).arg(EXPIRES);
            let swapped: bool = swap.query_async(&mut connection).await.map_err(|error| failed(&error))?;
            self.keep(connection).await;
            Ok(swapped)
        })
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisStore")
    }
}
