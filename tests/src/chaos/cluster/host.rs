//! A host: its three processes, their ports and their data.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::probe::{MASTER, Probe};
use crate::chaos::network::{HOSTS, Kind, Network};
use crate::clock::Clock;
use crate::port;
use crate::process::Process;
use crate::relay::Relay;
use crate::wait::{SOON, eventually};

/// The time without an answer after which a sentinel considers a server down, in milliseconds.
const DOWN_AFTER: &str = "900";

const REDIS_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/redis.sh");
const SENTINEL_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/sentinel.sh");

/// How to start a counter. The host adds `--listen` with an address, and sets `REDIS_SENTINELS` and `REDIS_MASTER`.
#[derive(Clone, Debug)]
pub struct Counter {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// The role in which a Redis server starts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Master,
    /// A replica of the Redis on the host with this index.
    ReplicaOf(usize),
}

/// The ports of a host, which never change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    /// The port of Redis.
    pub(super) redis: u16,
    /// The port that Redis announces: its relay's.
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

/// A host. Dropping it ends its processes.
#[derive(Debug)]
pub struct Host {
    index: usize,
    folder: PathBuf,
    pub(super) ports: Ports,
    all_ports: [Ports; HOSTS],
    counter: Counter,
    network: Network,
    /// The wall clock of its Redis and its sentinel.
    clock: Clock,
    redis: Option<Process>,
    sentinel: Option<Process>,
    app: Option<Process>,
    _relays: [Relay; 2],
}

impl Host {
    /// Creates a host without running processes.
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
        let clock = Clock::new(&folder);
        let (redis, sentinel, app) = (None, None, None);
        Self { index, folder, ports, all_ports, counter, network, clock, redis, sentinel, app, _relays: relays }
    }

    /// Starts Redis in this role without asking the sentinels.
    pub(super) fn start_redis(&mut self, role: Role) {
        let Ports { redis_public, .. } = self.ports;
        let announced = ["--replica-announce-ip", "127.0.0.1", "--replica-announce-port", &redis_public.to_string()];
        let mut plan = Process::of("redis-server").args(announced).args(self.redis_options());
        if let Role::ReplicaOf(master) = role {
            plan = plan.args(["--replicaof", "127.0.0.1", &self.all_ports[master].redis_public.to_string()]);
        }
        self.register_redis(self.clock.of(plan).start());
    }

    /// Starts Redis by the stack's own script, which asks the sentinels for the role.
    pub(super) fn start_redis_guarded(&mut self) {
        let local = |port: u16| format!("127.0.0.1:{port}");
        let plan = Process::of("sh").arg(REDIS_SCRIPT).args(self.redis_options());
        let plan = plan.current_dir(&self.folder.join("data")).env("SELF", local(self.ports.redis_public));
        // Directly: the relays do not know the script's child processes.
        let sentinels = self.all_ports.map(|ports| local(ports.sentinel)).join(" ");
        self.register_redis(self.clock.of(plan.env("SENTINELS", sentinels).env("MASTER", MASTER)).start());
    }

    fn register_redis(&mut self, started: Process) {
        self.network.register(started.pid(), self.index, Kind::Redis);
        self.redis = Some(started);
    }

    /// Returns the stack's options, with timeouts that match those of the sentinels below.
    fn redis_options(&self) -> Vec<String> {
        let (port, data, log) = (self.ports.redis, self.folder.join("data"), self.folder.join("redis.log"));
        let options = format!(
            "--bind 127.0.0.1 --port {port} --appendonly yes --appendfsync always \
             --min-replicas-to-write 1 --min-replicas-max-lag 2 \
             --repl-ping-replica-period 1 --repl-timeout 4 --repl-diskless-sync-delay 0"
        );
        let mut options: Vec<String> = options.split(' ').map(str::to_owned).collect();
        let paths = ["--dir".into(), data.display().to_string(), "--logfile".into(), log.display().to_string()];
        options.extend(paths);
        options.extend(["--save".to_owned(), String::new()]);
        options
    }

    /// Writes the configuration of a sentinel that knows only the master's host. The stack's script would announce the
    /// port on which the sentinel listens, instead of its relay's.
    pub(super) fn write_sentinel_config(&self, master: usize) {
        let Ports { sentinel, sentinel_public, .. } = self.ports;
        let master = self.all_ports[master].redis_public;
        let folder = self.folder.display();
        let config = format!(
            "bind 127.0.0.1\nport {sentinel}\ndir {folder}\nlogfile {folder}/sentinel.log\n\
             sentinel announce-ip 127.0.0.1\nsentinel announce-port {sentinel_public}\n\
             sentinel monitor {MASTER} 127.0.0.1 {master} 2\n\
             sentinel down-after-milliseconds {MASTER} {DOWN_AFTER}\n\
             sentinel failover-timeout {MASTER} 2500\n\
             sentinel parallel-syncs {MASTER} 1\n"
        );
        fs::write(self.folder.join("sentinel.conf"), config).expect("a file");
    }

    pub(super) async fn start_sentinel(&mut self, probe: &Probe) {
        // By the stack's own script, which keeps a failover possible.
        let plan = Process::of("sh").arg(SENTINEL_SCRIPT).current_dir(&self.folder);
        let own = format!("127.0.0.1:{}", self.ports.sentinel);
        let plan = plan.env("SELF", own).env("MASTER", MASTER).env("DOWN_AFTER", DOWN_AFTER);
        let started = self.clock.of(plan).start();
        self.network.register(started.pid(), self.index, Kind::Sentinel);
        self.sentinel = Some(started);
        // Periods that the file cannot set. The ping period is also the reconnect period: if it were as long as
        // down-after-milliseconds, a new master would count as down before its first ping.
        let periods = ["PING-PERIOD", "200", "ASK-PERIOD", "500", "INFO-PERIOD", "1000", "PUBLISH-PERIOD", "500"];
        let longer = ["MIN-LINK-RECONNECT-PERIOD", "2000"];
        let command = [&["SENTINEL", "DEBUG"], &periods[..], &longer[..]].concat();
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
        self.network.register(started.pid(), self.index, Kind::App);
        self.app = Some(started);
    }

    /// Kills the process if it runs.
    pub fn kill(&mut self, kind: Kind) {
        drop(self.process(kind).take());
    }

    /// Sends SIGSTOP to the process if it runs.
    pub fn freeze(&mut self, kind: Kind) {
        self.process(kind).iter_mut().for_each(Process::freeze);
    }

    /// Sends SIGCONT to the process, which has no effect on a running one.
    pub fn thaw(&mut self, kind: Kind) {
        self.process(kind).iter_mut().for_each(Process::thaw);
    }

    /// Sets the wall clock of Redis and the sentinel to `seconds` from the machine's.
    pub fn set_clock(&self, seconds: i64) {
        self.clock.set(seconds);
    }

    /// Returns by how many seconds the wall clock differs from the machine's.
    #[must_use]
    pub fn clock(&self) -> i64 {
        self.clock.shift()
    }

    /// Returns whether the sentinel was started and has ended by itself.
    pub fn sentinel_ended(&mut self) -> bool {
        self.sentinel.as_mut().is_some_and(|sentinel| sentinel.exited().is_some())
    }

    /// Deletes the data of Redis, which must not be running.
    pub fn lose_data(&mut self) {
        fs::remove_dir_all(self.folder.join("data")).expect("our own folder");
        fs::create_dir(self.folder.join("data")).expect("our own folder");
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
