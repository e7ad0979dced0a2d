//! The cluster under test: three hosts, each with a Redis, a sentinel and a counter.
//!
//! All are real processes with their data in the folder of the run, and with relays between the hosts ([`Network`]).
//! Timeouts are short, so that a failover takes two seconds instead of thirty; their proportions are those of a real
//! cluster.

mod host;
pub(crate) mod probe;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use host::Counter;
use host::{Host, Role};
pub use probe::MASTER;
use probe::Probe;

use super::network::{HOSTS, Network};
use super::plan::{Return, Victim};
use crate::client;
use crate::wait::{pause, try_eventually};

/// The time limit for the recovery from a fault. Sentinels retry a failover only after twice the failover timeout, and
/// each attempt may fail.
const RECOVERY: Duration = Duration::from_secs(60);

const BETWEEN_CHECKS: Duration = Duration::from_millis(50);

/// A running cluster. Dropping it ends its processes and keeps its folder.
#[derive(Debug)]
pub struct Cluster {
    hosts: [Host; HOSTS],
    /// The network between the hosts.
    pub network: Network,
    probe: Probe,
}

/// The cluster did not become healthy in time.
#[derive(Debug, thiserror::Error)]
#[error("the cluster is not healthy after {RECOVERY:?}: {0}")]
pub struct Unhealthy(String);

impl Unhealthy {
    pub(super) fn of(problem: &str) -> Self {
        Self(problem.to_owned())
    }
}

impl Cluster {
    /// Starts a cluster of `counter`s in `folder`, and waits until it is healthy.
    ///
    /// # Errors
    /// It did not become healthy.
    ///
    /// # Panics
    /// A process cannot be started.
    pub async fn start(folder: &Path, counter: Counter) -> Result<Self, Unhealthy> {
        let network = Network::new();
        let ports: [host::Ports; HOSTS] = std::array::from_fn(|_| host::Ports::free());
        let mut hosts = Vec::new();
        for index in 0..HOSTS {
            let folder: PathBuf = folder.join(format!("host{index}"));
            hosts.push(Host::new(index, folder, ports, counter.clone(), network.clone()));
        }
        let Ok(hosts) = <[Host; HOSTS]>::try_from(hosts) else { unreachable!("created HOSTS hosts") };
        let mut cluster = Self { hosts, network, probe: Probe::default() };
        for index in 0..HOSTS {
            cluster.hosts[index].start_redis(role(index, 0));
        }
        for host in &mut cluster.hosts {
            host.write_sentinel_config(0);
            host.start_sentinel(&cluster.probe).await;
            host.start_app();
        }
        cluster.until_healthy().await?;
        Ok(cluster)
    }

    /// Returns the addresses of the counters.
    #[must_use]
    pub fn apps(&self) -> [std::net::SocketAddr; HOSTS] {
        self.hosts.each_ref().map(|host| host.ports.app_address())
    }

    /// Returns a host, for faults in its processes.
    pub fn host(&mut self, index: usize) -> &mut Host {
        &mut self.hosts[index]
    }

    /// Returns the reply of a host's Redis to a command.
    ///
    /// # Errors
    /// Those of the connection, and error replies.
    pub async fn command(&self, host: usize, command: &[&str]) -> Result<redis::Value, redis::RedisError> {
        self.probe.ask(self.hosts[host].ports.redis, command).await
    }

    /// Restarts a sentinel with its saved state, and waits until it responds.
    ///
    /// # Panics
    /// It does not respond.
    pub async fn start_sentinel(&mut self, index: usize) {
        self.hosts[index].start_sentinel(&self.probe).await;
    }

    /// Returns the host of a victim, where `master` is the master's host.
    #[must_use]
    pub fn host_of(victim: Victim, master: usize) -> usize {
        match victim {
            Victim::Master => master,
            Victim::Replica(which) => (master + 1 + which) % HOSTS,
        }
    }

    /// Returns the master's host: the one that most of the responding sentinels name.
    pub async fn master(&self) -> Option<usize> {
        let mut votes = [0; HOSTS];
        for host in &self.hosts {
            let answer = self.probe.ask(host.ports.sentinel, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]).await;
            let port = answer.ok().and_then(|answer| probe::strings(answer).get(1)?.parse().ok());
            let named = port.and_then(|port: u16| self.hosts.iter().position(|host| host.ports.redis_public == port));
            if let Some(named) = named {
                votes[named] += 1;
            }
        }
        let most = (0..HOSTS).max_by_key(|host| votes[*host])?;
        (votes[most] > 0).then_some(most)
    }

    /// Returns the first host other than `old` whose Redis reports the role of a master.
    pub async fn promoted(&self, old: usize) -> Option<usize> {
        for (index, host) in self.hosts.iter().enumerate().filter(|(index, _)| *index != old) {
            let role = self.probe.ask(host.ports.redis, &["ROLE"]).await.map(probe::strings);
            if role.is_ok_and(|role| role.first().is_some_and(|role| role == "master")) {
                return Some(index);
            }
        }
        None
    }

    /// Restarts the Redis of a host. `master` was the master's host when that Redis ended.
    pub fn bring_back(&mut self, index: usize, mode: Return, master: usize) {
        match mode {
            Return::Guarded => self.hosts[index].start_redis_guarded(),
            Return::AsItWas => self.hosts[index].start_redis(role(index, master)),
        }
    }

    /// Waits until the cluster is healthy: one master, both replicas in sync with it, all sentinels agree and see each
    /// other, and all counters are ready.
    ///
    /// # Errors
    /// The problem that remains after [`RECOVERY`].
    pub async fn until_healthy(&self) -> Result<(), Unhealthy> {
        let mut last = String::new();
        let healthy = try_eventually(RECOVERY, async || match self.problem().await {
            None => Some(()),
            Some(problem) => {
                last = problem;
                // A check costs the machine more than the default pause between checks.
                pause(BETWEEN_CHECKS).await;
                None
            }
        });
        healthy.await.ok_or(Unhealthy(last))
    }

    /// Returns the first problem.
    async fn problem(&self) -> Option<String> {
        let Some(master) = self.master().await else { return Some("no sentinel names a master".to_owned()) };
        let announced = ("127.0.0.1", self.hosts[master].ports.redis_public);
        for (index, host) in self.hosts.iter().enumerate() {
            if let Some(problem) = self.probe.sentinel_problem(host.ports.sentinel, announced).await {
                return Some(format!("sentinel {index}: {problem}"));
            }
            let master = (index != master).then_some(announced);
            if let Some(problem) = self.probe.redis_problem(host.ports.redis, master).await {
                return Some(format!("redis {index}: {problem}"));
            }
            let ready = tokio::time::timeout(probe::ANSWER, client::get(host.ports.app_address(), "/readyz")).await;
            if !matches!(&ready, Ok(Ok(reply)) if reply.status == http::StatusCode::OK) {
                return Some(format!("counter {index}: not ready: {ready:?}"));
            }
        }
        None
    }

    /// Returns the count once all three servers agree. No client may visit meanwhile.
    ///
    /// # Errors
    /// The servers did not agree in time.
    pub async fn count(&self) -> Result<u64, Unhealthy> {
        let mut seen = Vec::new();
        let same = try_eventually(RECOVERY, async || {
            let mut counts = Vec::new();
            for host in &self.hosts {
                counts.push(self.probe.count(host.ports.redis).await?);
            }
            let agreed = counts.iter().all(|count| *count == counts[0]) && seen == counts;
            seen = counts;
            agreed.then(|| seen[0])
        });
        same.await.ok_or_else(|| Unhealthy(format!("the servers have different counts: {seen:?}")))
    }

    /// Returns the number of promotions since the start.
    #[must_use]
    pub fn promotions(&self) -> usize {
        // Only the sentinel that leads the failover writes this line.
        self.hosts.iter().map(|host| host.sentinel_log().matches("+promoted-slave").count()).sum()
    }
}

/// Returns the role of a host's Redis while the master is on the host `master`.
fn role(index: usize, master: usize) -> Role {
    if index == master { Role::Master } else { Role::ReplicaOf(master) }
}
