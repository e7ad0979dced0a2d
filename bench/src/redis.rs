//! Redis servers for the counter. They run on the load's core.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{peers::Environment, port, process::Process};

/// Commands that are not caused by hits.
const NOT_BY_HITS: [&str; 6] = ["info", "ping", "replconf", "publish", "psync", "subscribe"];

/// A Redis server or sentinel.
#[derive(Debug)]
pub(crate) struct Redis {
    pub(crate) port: u16,
    /// Dropping it terminates the server.
    _process: Process,
}

impl Redis {
    /// Starts a server with `options` and waits until it accepts connections.
    pub(crate) fn start(environment: &Environment, options: &[&str]) -> Result<Self> {
        let port = port::free()?;
        let directory = environment.files.path().join(format!("redis-{port}"));
        fs::create_dir(&directory)?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--save", "", "--port", &port.to_string()]);
        command.arg("--dir").arg(&directory).args(options);
        Self::run(environment, port, &command, &directory)
    }

    fn run(environment: &Environment, port: u16, command: &Command, directory: &Path) -> Result<Self> {
        let log = directory.join("output.txt");
        let process = Process::start("redis", &environment.cores.load(), command, &log)?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_err() {
            let text = fs::read_to_string(&log)?;
            ensure!(Instant::now() < deadline, "Redis did not start: {text}");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { port, _process: process })
    }

    /// Returns the number of commands executed for hits.
    pub(crate) fn commands(&self) -> Result<u64> {
        let text = redis_cli(self.port, &["INFO", "commandstats"])?;
        let calls = text.lines().filter_map(|line| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = rest.split(',').next()?.parse::<u64>().ok()?;
            (!NOT_BY_HITS.contains(&name.split('|').next()?)).then_some(calls)
        });
        Ok(calls.sum())
    }
}

/// A master, two replicas and three sentinels.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) master: Redis,
    /// Dropping them terminates the servers.
    _replicas: [Redis; 2],
    sentinels: Vec<Redis>,
}

impl Cluster {
    /// Starts all of them and waits until the sentinels know the replicas and each other.
    pub(crate) fn start(environment: &Environment) -> Result<Self> {
        // As in stack.yml, but without an fsync for each write: the counter waits for a replica.
        let durable = ["--appendonly", "yes", "--repl-diskless-sync-delay", "0"];
        let fence = ["--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"];
        let options = [&durable[..], &fence].concat();
        let master = Redis::start(environment, &options)?;
        let of = format!("127.0.0.1 {}", master.port);
        let options = [&options[..], &["--replicaof", &of]].concat();
        let replicas = [Redis::start(environment, &options)?, Redis::start(environment, &options)?];
        let sentinels: Result<Vec<Redis>> = (0..3).map(|_| sentinel(environment, master.port)).collect();
        let cluster = Self { master, _replicas: replicas, sentinels: sentinels? };
        cluster.wait_until_complete()?;
        Ok(cluster)
    }

    /// The sentinels' addresses, as an argument of `--redis-sentinels`.
    pub(crate) fn sentinels(&self) -> String {
        self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect::<Vec<_>>().join(",")
    }

    fn wait_until_complete(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let online = redis_cli(self.master.port, &["INFO", "replication"])?.matches("state=online").count();
            let mut known = 0;
            for sentinel in &self.sentinels {
                let text = redis_cli(sentinel.port, &["INFO", "sentinel"])?;
                known += usize::from(text.contains("status=ok") && text.contains("slaves=2,sentinels=3"));
            }
            if online == 2 && known == 3 {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "only {online} of 2 replicas are online, and {known} of 3 sentinels know them all"
            );
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn sentinel(environment: &Environment, master: u16) -> Result<Redis> {
    let port = port::free()?;
    let directory = environment.files.path().join(format!("sentinel-{port}"));
    fs::create_dir(&directory)?;
    let file = directory.join("sentinel.conf");
    // Long, so that load on the machine does not cause a failover.
    let text = format!(
        "bind 127.0.0.1\nport {port}\nsentinel monitor counter 127.0.0.1 {master} 2\n\
         sentinel down-after-milliseconds counter 10000\n",
    );
    fs::write(&file, text)?;
    let mut command = Command::new("redis-sentinel");
    command.arg(&file);
    Redis::run(environment, port, &command, &directory)
}

fn redis_cli(port: u16, words: &[&str]) -> Result<String> {
    let output = Command::new("redis-cli").args(["-p", &port.to_string()]).args(words).output();
    Ok(String::from_utf8(output.context("redis-cli")?.stdout)?)
}
