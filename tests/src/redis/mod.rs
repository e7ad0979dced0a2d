//! A real Redis server that a test can kill, freeze and restart.

pub mod group;

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, Client};
use tempfile::TempDir;

use crate::port;
use crate::process::Process;
use crate::wait::{SOON, eventually_some};

/// A `redis-server` with its own port and data directory. Dropping it ends the server and removes the data.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    options: Vec<String>,
    process: Process,
    /// Dropped after the process that writes to it.
    data: TempDir,
}

impl Redis {
    /// Starts a server that writes every command to its append-only file before it replies, as in the stack, so that
    /// acknowledged writes survive a kill.
    ///
    /// # Panics
    /// If `redis-server` is not installed or does not respond.
    pub async fn start() -> Self {
        Self::start_with(&["--appendonly", "yes", "--appendfsync", "always"]).await
    }

    /// Starts a server with these options of `redis-server`'s command line only. Without an append-only file, a kill
    /// loses the data.
    ///
    /// # Panics
    /// If `redis-server` is not installed or does not respond.
    pub async fn start_with(options: &[&str]) -> Self {
        let port = port::free();
        let data = tempfile::tempdir().expect("a directory for data");
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let process = spawn(port, &data, &options);
        let server = Self { port, options, process, data };
        server.ready().await;
        server
    }

    /// Returns the server's port on 127.0.0.1, which stays the same across [`restart`](Self::restart).
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the server's address as `redis://127.0.0.1:port`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Kills the server, as `kill -9` does: every connection is reset, and no more data is written.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Restarts it on the same port and data, killing it first if it still runs, and waits until it responds.
    ///
    /// # Panics
    /// If it does not respond.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(self.port, &self.data, &self.options);
        self.ready().await;
    }

    /// Suspends the server with its connections open: a command gets neither a reply nor an error.
    pub fn freeze(&mut self) {
        self.process.freeze();
    }

    /// Resumes a frozen server, which then replies to the commands that it was sent meanwhile.
    pub fn thaw(&mut self) {
        self.process.thaw();
    }

    /// Returns a new connection, whose response timeout is [`SOON`].
    ///
    /// # Panics
    /// If the server does not respond.
    pub async fn connection(&self) -> MultiplexedConnection {
        self.try_connection().await.expect("a connection to redis")
    }

    /// Returns the number under `key`, or zero if there is none.
    ///
    /// # Panics
    /// If the server does not respond.
    pub async fn number(&self, key: &str) -> u64 {
        let value: Option<u64> = self.connection().await.get(key).await.expect("a number in redis");
        value.unwrap_or(0)
    }

    async fn try_connection(&self) -> Result<MultiplexedConnection, redis::RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_secs(1)))
            .set_response_timeout(Some(SOON));
        Client::open(self.url())?.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Waits for PONG: a server that is loading its data accepts connections, but replies -LOADING.
    async fn ready(&self) {
        eventually_some("a reply of redis", SOON, async || {
            let mut connection = self.try_connection().await.ok()?;
            connection.ping::<String>().await.ok()
        })
        .await;
    }
}

fn spawn(port: u16, data: &TempDir, options: &[String]) -> Process {
    Process::of("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", ""])
        .args(options)
        .current_dir(data.path())
        .start()
}
