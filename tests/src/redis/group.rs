//! A replicated Redis as in the stack: a master, two replicas and three sentinels, all real processes.

use std::net::{Ipv4Addr, SocketAddr};

use redis::{Client, Value};
use rustix::process::Signal;
use tempfile::TempDir;

use super::Redis;
use crate::port;
use crate::process::Process;
use crate::wait::{SOON, eventually};

/// The sentinels' name for the master.
pub const MASTER: &str = "counter";

/// The time without an answer after which a sentinel considers a server down, in milliseconds.
const DOWN_AFTER: u32 = 1000;

/// The sentinels' failover timeout, in milliseconds.
const FAILOVER: u32 = 5000;

/// A `redis-sentinel` on a port of its own, which keeps its configuration across restarts.
#[derive(Debug)]
pub struct Sentinel {
    port: u16,
    process: Process,
    folder: TempDir,
}

impl Sentinel {
    fn start(master: u16, further: &str) -> Self {
        let (port, folder) = (port::free(), tempfile::tempdir().expect("a directory"));
        let config = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n\
             sentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER} {DOWN_AFTER}\n\
             sentinel failover-timeout {MASTER} {FAILOVER}\n{further}",
            folder.path().display()
        );
        std::fs::write(folder.path().join("sentinel.conf"), config).expect("a configuration");
        Self { port, process: spawn(&folder), folder }
    }

    /// Returns its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Restarts it with its saved state.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(&self.folder);
    }

    /// Sends a signal to it.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }
}

fn spawn(folder: &TempDir) -> Process {
    Process::of("redis-server").arg(folder.path().join("sentinel.conf")).arg("--sentinel").start()
}

/// Three servers, the first of which is the master at the start, and their sentinels.
#[derive(Debug)]
pub struct Group {
    /// The servers.
    pub servers: Vec<Redis>,
    /// The sentinels.
    pub sentinels: Vec<Sentinel>,
}

impl Group {
    /// Starts all of them; [`until_settled`](Self::until_settled) waits until they form a group.
    ///
    /// # Panics
    /// If a server does not respond.
    pub async fn start() -> Self {
        Self::start_with(&["--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"], "").await
    }

    /// Starts all with extra options for every server and extra lines for every sentinel's configuration.
    ///
    /// # Panics
    /// If a server does not respond.
    pub async fn start_with(options: &[&str], sentinel: &str) -> Self {
        let common = ["--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0"];
        let options = [&common[..], &["--repl-timeout", "5"], options].concat();
        let mut servers = vec![Redis::start_with(&options).await];
        let master = servers[0].port();
        for _ in 0..2 {
            let of = format!("127.0.0.1 {master}");
            servers.push(Redis::start_with(&[&options[..], &["--replicaof", &of]].concat()).await);
        }
        let sentinels = (0..3).map(|_| Sentinel::start(master, sentinel)).collect();
        Self { servers, sentinels }
    }

    /// Waits until all form one group. None of them may require a password.
    ///
    /// # Panics
    /// If that exceeds [`SOON`].
    pub async fn until_settled(&self) {
        self.until_in_sync().await;
        self.until_known("").await;
    }

    /// Waits until the first server, which must not require a password, has two replicas in sync.
    ///
    /// # Panics
    /// If that exceeds [`SOON`].
    pub async fn until_in_sync(&self) {
        let mut master = self.servers[0].connection().await;
        eventually("two replicas in sync", SOON, async || {
            let info: Result<String, _> = redis::cmd("INFO").arg("replication").query_async(&mut master).await;
            info.is_ok_and(|info| info.matches("state=online").count() == 2)
        })
        .await;
    }

    /// Waits until every sentinel knows both replicas and the other sentinels. `login` is the part before the host
    /// in a sentinel's URL.
    ///
    /// # Panics
    /// If that exceeds [`SOON`].
    pub async fn until_known(&self, login: &str) {
        for sentinel in &self.sentinels {
            eventually("a sentinel that knows all servers and sentinels", SOON, async || {
                let url = format!("redis://{login}{}", sentinel.address());
                let Ok(client) = Client::open(url) else { return false };
                let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return false };
                let query = |what: &str| redis::cmd("SENTINEL").arg(what).arg(MASTER).to_owned();
                let replicas: Result<Vec<Value>, _> = query("REPLICAS").query_async(&mut connection).await;
                let others: Result<Vec<Value>, _> = query("SENTINELS").query_async(&mut connection).await;
                let quorum: Result<String, _> = query("CKQUORUM").query_async(&mut connection).await;
                quorum.is_ok() && replicas.is_ok_and(|all| all.len() == 2) && others.is_ok_and(|all| all.len() == 2)
            })
            .await;
        }
    }

    /// Returns the sentinels' addresses, in the format of `REDIS_SENTINELS`.
    #[must_use]
    pub fn list(&self) -> String {
        let all: Vec<String> = self.sentinels.iter().map(|sentinel| sentinel.address().to_string()).collect();
        all.join(",")
    }

    /// Returns the server on `port`.
    ///
    /// # Panics
    /// If there is none.
    pub fn on(&mut self, port: u16) -> &mut Redis {
        self.servers.iter_mut().find(|server| server.port() == port).expect("a server of the group")
    }

    /// Returns the port of the master, according to the first sentinel.
    ///
    /// # Panics
    /// If the sentinel does not respond.
    pub async fn master(&self) -> u16 {
        let url = format!("redis://{}", self.sentinels[0].address());
        let mut connection =
            Client::open(url).expect("a URL").get_multiplexed_async_connection().await.expect("a sentinel");
        let query = redis::cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(MASTER).to_owned();
        let (_ip, port): (String, u16) = query.query_async(&mut connection).await.expect("a master");
        port
    }
}
