//! One host: its three processes, their ports, and what they keep.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::MASTER;
use super::probe::Probe;
use crate::chaos::network::{HOSTS, Kind, Network, Relay};
use crate::port;
use crate::process::Process;
use crate::wait::{SOON, eventually};

/// How to start a counter. It gets `--listen` with an address besides, and in `REDIS_SENTINELS` and
/// `REDIS_MASTER` where to count.
#[derive(Clone, Debug)]
pub struct Counter {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// The ports of a host, the same for as long as it exists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    /// Where Redis listens.
    pub(super) redis: u16,
    /// What it announces: its relay's.
    pub(super) redis_public: u16,
    pub(super) sentinel: u16,
    pub(super) sentinel_public: u16,
    app: u16,
}

impl Ports {
    pub(super) fn free() -> Self {
        Self {
            redis: port::free(),
            redis_public: port::free(),
            sentinel: port::free(),
            sentinel_public: port::free(),
            app: port::free(),
        }
    }

    pub(super) fn app_address(self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.app))
    }
}

/// One host. What it starts ends with it.
#[derive(Debug)]
pub struct Host {
    index: usize,
    folder: PathBuf,
    pub(super) ports: Ports,
    all_ports: [Ports; HOSTS],
    counter: Counter,
    network: Network,
    redis: Option<Process>,
    sentinel: Option<Process>,
    app: Option<Process>,
    _relays: [Relay; 2],
}

impl Host {
    /// A host on which nothing runs yet.
    pub(super) fn new(
        index: usize,
        folder: PathBuf,
        all_ports: [Ports; HOSTS],
        counter: Counter,
        network: Network,
    ) -> Self {
        let ports = all_ports[index];
        fs::create_dir_all(folder.join("data")).expect("a folder");
        let relays = [
            network.relay(index, Kind::Redis, ports.redis_public, ports.redis),
            network.relay(index, Kind::Sentinel, ports.sentinel_public, ports.sentinel),
        ];
        let (redis, sentinel, app) = (None, None, None);
        Self { index, folder, ports, all_ports, counter, network, redis, sentinel, app, _relays: relays }
    }

    /// Writes the configuration anew, to start as master or as the replica of a host's.
    pub(super) fn write_redis_config(&self, master: Option<usize>) {
        let Ports { redis, redis_public, .. } = self.ports;
        let data = self.folder.join("data");
        let log = self.folder.join("redis.log");
        let (data, log) = (data.display(), log.display());
        // As the stack's, with times that fit those of the sentinels below.
        let mut config = format!(
            "bind 127.0.0.1\nport {redis}\ndir {data}\nlogfile {log}\nsave \"\"\n\
             appendonly yes\nappendfsync always\n\
             replica-announce-ip 127.0.0.1\nreplica-announce-port {redis_public}\n\
             min-replicas-to-write 1\nmin-replicas-max-lag 2\n\
             repl-ping-replica-period 1\nrepl-timeout 4\nrepl-diskless-sync-delay 0\n"
        );
        if let Some(master) = master {
            config += &format!("replicaof 127.0.0.1 {}\n", self.all_ports[master].redis_public);
        }
        fs::write(self.folder.join("redis.conf"), config).expect("a file");
    }

    /// Writes the configuration of a sentinel that knows nothing but the master's host.
    pub(super) fn write_sentinel_config(&self, master: usize) {
        let Ports { sentinel, sentinel_public, .. } = self.ports;
        let master = self.all_ports[master].redis_public;
        let folder = self.folder.display();
        let config = format!(
            "bind 127.0.0.1\nport {sentinel}\ndir {folder}\nlogfile {folder}/sentinel.log\n\
             sentinel announce-ip 127.0.0.1\nsentinel announce-port {sentinel_public}\n\
             sentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER} 900\n\
             sentinel failover-timeout {MASTER} 2500\n\
             sentinel parallel-syncs {MASTER} 1\n"
        );
        fs::write(self.folder.join("sentinel.conf"), config).expect("a file");
    }

    pub(super) fn start_redis(&mut self) {
        let started = Process::of("redis-server").arg(self.folder.join("redis.conf")).start();
        self.network.admit(started.pid(), self.index, Kind::Redis);
        self.redis = Some(started);
    }

    pub(super) async fn start_sentinel(&mut self, probe: &Probe) {
        let started = Process::of("redis-server").arg(self.folder.join("sentinel.conf")).arg("--sentinel").start();
        self.network.admit(started.pid(), self.index, Kind::Sentinel);
        self.sentinel = Some(started);
        // Periods that no file can set. With that of pings, which is that of reconnecting, as long as the time
        // until a server counts as down, a new master would be called down before it was ever asked.
        let periods = ["PING-PERIOD", "200", "ASK-PERIOD", "500", "INFO-PERIOD", "1000", "PUBLISH-PERIOD", "500"];
        let rarer = ["MIN-LINK-RECONNECT-PERIOD", "2000", "TILT-PERIOD", "3000"];
        let command = [&["SENTINEL", "DEBUG"], &periods[..], &rarer[..]].concat();
        eventually("an answer of a sentinel", SOON, async || probe.ask(self.ports.sentinel, &command).await.is_ok())
            .await;
    }

    /// Starts the counter.
    pub fn start_app(&mut self) {
        let sentinels = self.all_ports.map(|ports| format!("127.0.0.1:{}", ports.sentinel_public)).join(",");
        let script = "exec \"$0\" \"$@\" >>\"$OUTPUT\" 2>&1";
        let started = Process::of("sh")
            .args(["-c", script])
            .arg(&self.counter.program)
            .args(&self.counter.arguments)
            .args(["--listen", &self.ports.app_address().to_string()])
            .env("REDIS_SENTINELS", sentinels)
            .env("REDIS_MASTER", MASTER)
            .env("OUTPUT", self.folder.join("counter.log"))
            .start();
        self.network.admit(started.pid(), self.index, Kind::App);
        self.app = Some(started);
    }

    /// SIGKILL, if it runs.
    pub fn kill(&mut self, kind: Kind) {
        drop(self.process(kind).take());
    }

    /// SIGSTOP.
    pub fn freeze_redis(&mut self) {
        self.redis.iter_mut().for_each(Process::freeze);
    }

    /// SIGCONT, or nothing when it was not stopped.
    pub fn thaw_redis(&mut self) {
        self.redis.iter_mut().for_each(Process::thaw);
    }

    /// Whether it does not run.
    pub fn is_dead(&mut self, kind: Kind) -> bool {
        self.process(kind).as_mut().is_none_or(|process| process.exited().is_some())
    }

    /// Loses the disk of Redis, which must not run.
    pub fn lose_data(&mut self) {
        fs::remove_dir_all(self.folder.join("data")).expect("our own folder");
        fs::create_dir(self.folder.join("data")).expect("our own folder");
    }

    pub(super) fn has_data(&self) -> bool {
        fs::read_dir(self.folder.join("data")).is_ok_and(|mut data| data.next().is_some())
    }

    pub(super) fn sentinel_log(&self) -> String {
        fs::read_to_string(self.folder.join("sentinel.log")).unwrap_or_default()
    }

    fn process(&mut self, kind: Kind) -> &mut Option<Process> {
        match kind {
            Kind::Redis => &mut self.redis,
            Kind::Sentinel => &mut self.sentinel,
            Kind::App => &mut self.app,
        }
    }
}
