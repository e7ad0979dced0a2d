//! The three hosts, the services around them, and the health of the swarm on them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use super::docker::Error;
use super::fabric::{self, OUTSIDE};
use super::host::Host;
use super::hub::Hub;
use super::kernel::Kernel;
use super::namespaces::Run;
use super::shell::{self, Failed};
use super::store::Store;
use crate::dns::{Answer, Dns};
use crate::wait::{pause, try_eventually};

/// The hosts by name and address, as in the tutorial.
pub const HOSTS: [(&str, Ipv4Addr); 3] = [
    ("serveur17", Ipv4Addr::new(10, 10, 25, 165)),
    ("serveur18", Ipv4Addr::new(10, 10, 25, 166)),
    ("serveur19", Ipv4Addr::new(10, 10, 25, 167)),
];

/// The site's name, which resolves to the addresses of all hosts.
pub const SITE: &str = "www.example.com";

/// The pause between two checks of the swarm.
const BETWEEN_CHECKS: Duration = Duration::from_millis(300);

/// The hosts and the services around them. Dropping it ends everything.
#[derive(Debug)]
pub struct Cluster {
    /// In the order of [`HOSTS`].
    pub hosts: Vec<Host>,
    /// The public DNS.
    pub dns: Dns,
    /// The stand-in for Docker Hub.
    pub hub: Hub,
    /// The kernel's features.
    pub kernel: Kernel,
    /// The current run.
    pub run: Run,
    /// Redis and its sentinels.
    pub store: Store,
}

impl Cluster {
    /// Creates the fabric, and hosts that are off.
    ///
    /// # Errors
    /// The kernel refuses.
    ///
    /// # Panics
    /// A service around the hosts does not start.
    pub async fn start(run: Run) -> Result<Self, Failed> {
        let kernel = Kernel::probe().await;
        fabric::build().await?;
        let dns = Dns::start_at(SocketAddr::from((OUTSIDE, 53))).await;
        dns.set(SITE, Answer::addresses(HOSTS.map(|(_, address)| address)));
        resolve_here(&run).await?;
        let hub = Hub::start(&run.folder).await;
        let mut hosts = Vec::new();
        for (name, address) in HOSTS {
            hosts.push(Host::new(&run, kernel, name, address).expect("a writable folder"));
        }
        Ok(Self { hosts, dns, hub, kernel, run, store: Store::default() })
    }

    /// Returns the index of the host `name`.
    ///
    /// # Panics
    /// There is no such host.
    #[must_use]
    pub fn index(&self, name: &str) -> usize {
        self.hosts.iter().position(|host| host.name == name).unwrap_or_else(|| panic!("no host {name}"))
    }

    /// Returns the addresses of all hosts with `port`.
    #[must_use]
    pub fn addresses(&self, port: u16) -> Vec<SocketAddr> {
        self.hosts.iter().map(|host| SocketAddr::from((host.address, port))).collect()
    }

    /// Returns the index of the managers' leader, according to a host that is on and has a quorum.
    pub async fn leader(&self) -> Option<usize> {
        let nodes = self.ask("/nodes").await.ok()?;
        let leader = nodes.iter().find(|node| node["ManagerStatus"]["Leader"] == true)?;
        let name = leader["Description"]["Hostname"].as_str()?;
        self.hosts.iter().position(|host| host.name == name)
    }

    /// Returns a list of the API from the first host that responds.
    ///
    /// # Errors
    /// No host responds.
    pub async fn ask(&self, path: &str) -> Result<Vec<Value>, Error> {
        let mut error = Error::Timeout;
        for host in self.hosts.iter().filter(|host| host.is_on()) {
            match host.docker().list(path, &[]).await {
                Ok(list) => return Ok(list),
                Err(failed) => error = failed,
            }
        }
        Err(error)
    }

    /// Returns the first deviation from the desired state: a node that is down, a task that is missing or still
    /// stopping, an update in progress, or Redis without its replicas.
    pub async fn problem(&self) -> Option<String> {
        match self.swarm_problem().await {
            Ok(None) => {}
            Ok(problem) => return problem,
            Err(error) => return Some(error.to_string()),
        }
        self.store.problem(&self.hosts).await
    }

    /// Returns the first deviation of the services, without Redis, also while hosts are off.
    ///
    /// # Errors
    /// No engine responds.
    pub async fn services_problem(&self) -> Result<Option<String>, Error> {
        let (nodes, services, tasks) =
            (self.ask("/nodes").await?, self.ask("/services").await?, self.ask("/tasks").await?);
        let ready = |node: &Value| node["Status"]["State"] == "ready";
        let name = |task: &Value| {
            let service = services.iter().find(|service| service["ID"] == task["ServiceID"]);
            service.map(|service| service["Spec"]["Name"].as_str().unwrap_or_default().to_owned())
        };
        let active = nodes.iter().filter(|node| ready(node) && node["Spec"]["Availability"] == "active").count();
        for service in &services {
            let update = service["UpdateStatus"]["State"].as_str().unwrap_or_default();
            if ["updating", "rollback_started"].contains(&update) {
                return Ok(Some(format!("{}: {update}", service["Spec"]["Name"])));
            }
            let mine = |task: &&Value| task["ServiceID"] == service["ID"] && task["DesiredState"] == "running";
            let running = |task: &&Value| {
                task["Status"]["State"] == "running"
                    && nodes.iter().any(|node| node["ID"] == task["NodeID"] && ready(node))
            };
            let wanted = match service["Spec"]["Mode"]["Replicated"]["Replicas"].as_u64() {
                Some(replicas) => usize::try_from(replicas).unwrap_or(usize::MAX),
                None => active,
            };
            let found = tasks.iter().filter(mine).filter(running).count();
            let started = tasks.iter().filter(mine).count();
            if found != wanted || started != wanted {
                return Ok(Some(format!(
                    "{}: {found} of {wanted} tasks run, {started} should run",
                    service["Spec"]["Name"]
                )));
            }
        }
        let stopping = tasks.iter().find(|task| {
            task["DesiredState"] != "running"
                && task["Status"]["State"] == "running"
                && nodes.iter().any(|node| node["ID"] == task["NodeID"] && ready(node))
        });
        Ok(stopping.map(|task| format!("a task of {:?} is still stopping", name(task))))
    }

    async fn swarm_problem(&self) -> Result<Option<String>, Error> {
        for node in self.ask("/nodes").await? {
            let state =
                (&node["Status"]["State"], &node["ManagerStatus"]["Reachability"], &node["Spec"]["Availability"]);
            if state != (&"ready".into(), &"reachable".into(), &"active".into()) {
                return Ok(Some(format!("{}: {state:?}", node["Description"]["Hostname"])));
            }
        }
        self.services_problem().await
    }

    /// Waits until [`problem`](Self::problem) finds none.
    ///
    /// # Panics
    /// There still is a problem after `within`.
    pub async fn until_healthy(&self, within: Duration) {
        self.until("the swarm is healthy", within, async || self.problem().await).await;
    }

    /// Describes the state of the hosts, for the message of a failure.
    pub async fn state(&self) -> String {
        let mut state = String::new();
        for host in self.hosts.iter().filter(|host| host.is_on()) {
            let output = host.run(DIAGNOSTICS).await;
            state += &format!("== {}\n{}\n", host.name, output.unwrap_or_else(|error| error.to_string()));
        }
        state
    }

    /// Waits until `problem` returns `None`.
    ///
    /// # Panics
    /// It still returns a problem after `within`.
    pub async fn until(&self, what: &str, within: Duration, mut problem: impl AsyncFnMut() -> Option<String>) {
        let mut last = String::new();
        let solved = try_eventually(within, async || match problem().await {
            None => Some(()),
            Some(found) => {
                last = found;
                // A check costs the machine more than the default pause between checks.
                pause(BETWEEN_CHECKS).await;
                None
            }
        });
        if solved.await.is_none() {
            panic!("{what}: not after {within:?}: {last}\n{}", self.state().await);
        }
    }
}

/// Prints what an engineer would look at first on a running host.
const DIAGNOSTICS: &str = r#"
    docker node ls 2>&1 || true
    docker stack ps --filter desired-state=running --format '{{.Name}} {{.Node}} {{.CurrentState}} {{.Error}}' stackdemo 2>&1 || true
    for name in redis sentinel; do
        for container in $(docker ps --quiet --filter "name=stackdemo_$name"); do
            docker ps --all --filter "id=$container" --format '{{.Names}} {{.Status}}'
            docker logs --tail 5 "$container" 2>&1
        done
    done
    for namespace in /run/docker/netns/ingress_sbox /run/docker/netns/lb_*; do
        echo "$namespace"
        nsenter "--net=$namespace" iptables-save -t nat 2>/dev/null | grep -e '-A MESH' || true
        nsenter "--net=$namespace" ip neighbour || true
    done
"#;

/// Makes this process's resolver use the fabric's DNS server, in its own mount namespace.
async fn resolve_here(run: &Run) -> Result<(), Failed> {
    let settings = run.folder.join("resolv.conf");
    std::fs::write(&settings, format!("nameserver {OUTSIDE}\n")).expect("a writable folder");
    shell::output(
        shell::program("mount", ["--bind".as_ref(), settings.as_os_str(), "/etc/resolv.conf".as_ref()]),
        shell::TIMEOUT,
    )
    .await
    .map(drop)
}
