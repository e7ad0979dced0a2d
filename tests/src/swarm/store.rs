//! Queries Redis and its sentinels on the hosts, from inside their containers' networks, since no other network reaches
//! them.

use std::time::Duration;

use super::host::Host;
use crate::chaos::cluster::MASTER;
use crate::chaos::cluster::probe::{Endpoint, Probe, strings};
use crate::wait::{pause, try_eventually};

const REDIS: u16 = 6379;
const SENTINEL: u16 = 26_379;

/// The time limit for the servers to agree on the count after the last visit.
const AGREEMENT: Duration = Duration::from_secs(60);

const BETWEEN_CHECKS: Duration = Duration::from_millis(100);

/// A client of all servers and sentinels, which keeps its connections.
#[derive(Debug, Default)]
pub struct Store {
    probe: Probe,
}

/// A server or sentinel.
#[derive(Clone, Debug)]
struct Member {
    host: usize,
    endpoint: Endpoint,
}

impl Store {
    /// Returns the host of the master, according to the roles that the reachable servers report.
    pub async fn master(&self, hosts: &[Host]) -> Option<usize> {
        for member in members(hosts, "redis", REDIS).await {
            let role = self.probe.ask(member.endpoint, &["ROLE"]).await.map(strings);
            if role.is_ok_and(|role| role.first().is_some_and(|role| role == "master")) {
                return Some(member.host);
            }
        }
        None
    }

    /// Returns the first problem: a missing server or sentinel, a replica that is not in sync, or sentinels that
    /// disagree.
    pub async fn problem(&self, hosts: &[Host]) -> Option<String> {
        let servers = members(hosts, "redis", REDIS).await;
        let sentinels = members(hosts, "sentinel", SENTINEL).await;
        if servers.len() != hosts.len() || sentinels.len() != hosts.len() {
            return Some(format!("{} Redis servers and {} sentinels run", servers.len(), sentinels.len()));
        }
        let named = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER];
        let named = self.probe.ask(sentinels[0].endpoint.clone(), &named).await.map(strings).unwrap_or_default();
        let Some(address) = named.first() else { return Some("a sentinel names no master".to_owned()) };
        for sentinel in sentinels {
            if let Some(problem) = self.probe.sentinel_problem(sentinel.endpoint, (address, REDIS)).await {
                return Some(format!("sentinel on {}: {problem}", hosts[sentinel.host].name));
            }
        }
        let Some(master) = self.master(hosts).await else { return Some("no master".to_owned()) };
        for server in servers {
            let its_master = (server.host != master).then_some((address.as_str(), REDIS));
            if let Some(problem) = self.probe.redis_problem(server.endpoint, its_master).await {
                return Some(format!("redis on {}: {problem}", hosts[server.host].name));
            }
        }
        None
    }

    /// Returns the count once all servers agree. No client may visit meanwhile.
    ///
    /// # Panics
    /// They do not agree in time.
    pub async fn count(&self, hosts: &[Host]) -> u64 {
        let mut seen = Vec::new();
        let agreed = try_eventually(AGREEMENT, async || {
            let mut counts = Vec::new();
            for server in members(hosts, "redis", REDIS).await {
                counts.push(self.probe.count(server.endpoint).await?);
            }
            let same = counts.len() == hosts.len() && counts.iter().all(|count| *count == counts[0]) && seen == counts;
            seen = counts;
            if same {
                return Some(seen[0]);
            }
            pause(BETWEEN_CHECKS).await;
            None
        });
        agreed.await.unwrap_or_else(|| panic!("the servers have different counts: {seen:?}"))
    }

    /// Returns the number of failovers so far: the sentinels' configuration epoch.
    pub async fn epoch(&self, hosts: &[Host]) -> usize {
        let mut newest = 0;
        for sentinel in members(hosts, "sentinel", SENTINEL).await {
            let master = self.probe.ask(sentinel.endpoint, &["SENTINEL", "MASTER", MASTER]).await.map(strings);
            let master = master.unwrap_or_default();
            let epoch =
                master.chunks(2).find(|pair| pair[0] == "config-epoch").and_then(|pair| pair.get(1)?.parse().ok());
            newest = newest.max(epoch.unwrap_or(0));
        }
        newest
    }
}

/// Returns the running tasks of all services whose names begin with `kind`, on the hosts that are on.
async fn members(hosts: &[Host], kind: &str, port: u16) -> Vec<Member> {
    let mut found = Vec::new();
    for (index, host) in hosts.iter().enumerate().filter(|(_, host)| host.is_on()) {
        let namespaces = host.networks_of(kind).await.into_iter();
        found.extend(namespaces.map(|it| Member { host: index, endpoint: Endpoint { port, namespace: Some(it) } }));
    }
    found
}
