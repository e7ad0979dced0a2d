//! The cluster under test: three hosts, each with a Redis, a sentinel and a counter.
//!
//! All are real processes with their data in the folder of the run, and with relays between the hosts ([`Network`]).
//! Times are short, so that a failover takes two seconds instead of thirty; their proportions are those of a real
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

/// The time limit for a cluster to become whole after a fault. Sentinels retry a failover only after twice the failover
/// time-out, and each attempt may fail.
const WHOLE: Duration = Duration::from_secs(60);

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A running cluster. Dropping it ends its processes and leaves its folder.
#[derive(Debug)]
pub struct Cluster {
    hosts: [Host; HOSTS],
    /// Between the hosts.
    pub network: Network,
    probe: Probe,
}

/// A cluster that did not become whole.
#[derive(Debug, thiserror::Error)]
#[error("the cluster is not whole after {WHOLE:?}: {0}")]
pub struct NotWhole(String);

impl NotWhole {
    pub(super) fn of(flaw: &str) -> Self {
        Self(flaw.to_owned())
    }
}

impl Cluster {
    /// Starts all of it in `folder`, with `counter` as the counters, and waits until it is whole.
    ///
    /// # Errors
    /// It did not become whole.
    ///
    /// # Panics
    /// A process cannot be started.
    pub async fn start(folder: &Path, counter: Counter) -> Result<Self, NotWhole> {
        let network = Network::new();
        let ports: [host::Ports; HOSTS] = std::array::from_fn(|_| host::Ports::free());
        let mut hosts = Vec::new();
        for index in 0..HOSTS {
            let folder: PathBuf = folder.join(format!("host{index}"));
            hosts.push(Host::new(index, folder, ports, counter.clone(), network.clone()));
        }
        let Ok(hosts) = <[Host; HOSTS]>::try_from(hosts) else { unreachable!("made as many") };
        let mut cluster = Self { hosts, network, probe: Probe::default() };
        for index in 0..HOSTS {
            cluster.hosts[index].start_redis(role(index, 0));
        }
        for host in &mut cluster.hosts {
            host.write_sentinel_config(0);
            host.start_sentinel(&cluster.probe).await;
            host.start_app();
        }
        cluster.whole().await?;
        Ok(cluster)
    }

    /// The addresses of the counters.
    #[must_use]
    pub fn apps(&self) -> [std::net::SocketAddr; HOSTS] {
        self.hosts.each_ref().map(|host| host.ports.app_address())
    }

    /// A host, for faults in its processes.
    pub fn host(&mut self, index: usize) -> &mut Host {
        &mut self.hosts[index]
    }

    /// Restarts a sentinel with its saved state, and waits until it answers.
    ///
    /// # Panics
    /// It does not answer.
    pub async fn start_sentinel(&mut self, index: usize) {
        self.hosts[index].start_sentinel(&self.probe).await;
    }

    /// The host of a victim, where `master` is the master's host.
    #[must_use]
    pub fn find(victim: Victim, master: usize) -> usize {
        match victim {
            Victim::Master => master,
            Victim::Replica(which) => (master + 1 + which) % HOSTS,
        }
    }

    /// The master's host: the one that most of the answering sentinels name.
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

    /// The first other host whose Redis says that it is a master.
    pub async fn promoted(&self, old: usize) -> Option<usize> {
        for (index, host) in self.hosts.iter().enumerate().filter(|(index, _)| *index != old) {
            let role = self.probe.ask(host.ports.redis, &["ROLE"]).await.map(probe::strings);
            if role.is_ok_and(|role| role.first().is_some_and(|role| role == "master")) {
                return Some(index);
            }
        }
        None
    }

    /// Restarts the Redis of a host. `master` was the master's host when it ended.
    pub fn bring_back(&mut self, index: usize, how: Return, master: usize) {
        match how {
            Return::Guarded => self.hosts[index].start_redis_guarded(),
            Return::AsItWas => self.hosts[index].start_redis(role(index, master)),
        }
    }

    /// Waits until the cluster is whole: one master, both others in sync with it, all sentinels agree on that and see
    /// each other, and all counters are ready.
    ///
    /// # Errors
    /// What is still wrong after a minute.
    pub async fn whole(&self) -> Result<(), NotWhole> {
        let mut wrong = String::new();
        let whole = try_eventually(WHOLE, async || match self.flaw().await {
            None => Some(()),
            Some(flaw) => {
                wrong = flaw;
                // A look costs the machine more than the pause.
                pause(BETWEEN_LOOKS).await;
                None
            }
        });
        whole.await.ok_or(NotWhole(wrong))
    }

    /// The first thing that is wrong.
    async fn flaw(&self) -> Option<String> {
        let Some(master) = self.master().await else { return Some("no sentinel names a master".to_owned()) };
        let announced = ("127.0.0.1", self.hosts[master].ports.redis_public);
        for (index, host) in self.hosts.iter().enumerate() {
            if let Some(flaw) = self.probe.sentinel_flaw(host.ports.sentinel, announced).await {
                return Some(format!("sentinel {index}: {flaw}"));
            }
            let master = (index != master).then_some(announced);
            if let Some(flaw) = self.probe.redis_flaw(host.ports.redis, master).await {
                return Some(format!("redis {index}: {flaw}"));
            }
            let ready = tokio::time::timeout(probe::ANSWER, client::get(host.ports.app_address(), "/readyz")).await;
            if !matches!(&ready, Ok(Ok(reply)) if reply.status == http::StatusCode::OK) {
                return Some(format!("counter {index}: not ready: {ready:?}"));
            }
        }
        None
    }

    /// The count, once all three servers agree. Only while no client counts.
    ///
    /// # Errors
    /// The servers did not agree in time.
    pub async fn count(&self) -> Result<u64, NotWhole> {
        let mut seen = Vec::new();
        let same = try_eventually(WHOLE, async || {
            let mut counts = Vec::new();
            for host in &self.hosts {
                counts.push(self.probe.count(host.ports.redis).await?);
            }
            let agreed = counts.iter().all(|count| *count == counts[0]) && seen == counts;
            seen = counts;
            agreed.then(|| seen[0])
        });
        same.await.ok_or_else(|| NotWhole(format!("the servers have different counts: {seen:?}")))
    }

    /// The number of promotions since the start.
    #[must_use]
    pub fn promotions(&self) -> usize {
        // Written by the one sentinel that leads the failover.
        self.hosts.iter().map(|host| host.sentinel_log().matches("+promoted-slave").count()).sum()
    }
}

/// The role of a host's Redis while the master is on the host `master`.
fn role(index: usize, master: usize) -> Role {
    if index == master { Role::Master } else { Role::ReplicaOf(master) }
}
