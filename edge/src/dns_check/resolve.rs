//! Queries name servers for a name and keeps everything they return: aliases, TTLs and failures.
//!
//! As in [`discovery::dns`](crate::upstream::discovery::dns), a name is queried as it is, and the servers of a resolver
//! are queried in order, the next one only if the previous one did not answer.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    Hosts,
    config::NameServerConfig,
    lookup::Lookup,
    proto::{
        op::Query,
        rr::{Name, RecordType},
    },
    system_conf::read_system_conf,
};
use tokio::time::Instant;

use super::{
    answer, exchange,
    facts::{self, Answer, QueryOutcome},
};

/// The name servers of this machine, or a single one.
pub(super) struct Resolver {
    label: String,
    /// The name servers, or why there is none.
    servers: Result<Vec<SocketAddr>, String>,
}

impl Resolver {
    /// Creates a resolver of the name servers in `/etc/resolv.conf`.
    pub(super) fn system() -> Self {
        let servers = match read_system_conf() {
            Ok((config, _)) if config.name_servers.is_empty() => {
                Err("/etc/resolv.conf lists no name server".to_owned())
            }
            Ok((config, _)) => Ok(config.name_servers.iter().map(address).collect()),
            Err(error) => Err(format!("/etc/resolv.conf: {error}")),
        };
        Self { label: facts::SYSTEM.to_owned(), servers }
    }

    /// Creates a resolver of one name server.
    pub(super) fn at(address: SocketAddr) -> Self {
        Self { label: address.to_string(), servers: Ok(vec![address]) }
    }

    /// Queries the A and AAAA records of `name` within the time limit.
    pub(super) async fn resolve(self, name: &str, limit: Duration) -> facts::Resolver {
        let Self { label, servers } = self;
        let addresses = servers.clone().unwrap_or_default();
        let (v4, v6) = match (servers, parse(name)) {
            (Ok(servers), Ok(name)) => tokio::join!(
                query(&servers, &name, RecordType::A, limit),
                query(&servers, &name, RecordType::AAAA, limit)
            ),
            (Err(error), _) | (_, Err(error)) => {
                let failed = Answer::empty(QueryOutcome::Failed(error));
                (failed.clone(), failed)
            }
        };
        facts::Resolver { label, servers: addresses, v4, v6 }
    }
}

/// Returns the addresses that `/etc/hosts` lists for `name`, sorted.
pub(super) fn in_hosts_file(name: &str) -> Vec<IpAddr> {
    let (Ok(hosts), Ok(name)) = (Hosts::from_system(), parse(name)) else { return Vec::new() };
    let lookup = |record_type| hosts.lookup_static_host(&Query::query(name.clone(), record_type));
    let lookups = [RecordType::A, RecordType::AAAA].map(lookup);
    let records = lookups.iter().flatten().flat_map(Lookup::answers);
    let mut addresses: Vec<_> = records.filter_map(|record| record.data.ip_addr()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn parse(name: &str) -> Result<Name, String> {
    let mut name = Name::from_str_relaxed(name).map_err(|error| error.to_string())?;
    name.set_fqdn(true);
    Ok(name)
}

fn address(server: &NameServerConfig) -> SocketAddr {
    let port = server.connections.first().map_or(53, |connection| connection.port);
    SocketAddr::new(server.ip, port)
}

/// Queries one server after the other, each for its share of the remaining time.
async fn query(servers: &[SocketAddr], name: &Name, record_type: RecordType, limit: Duration) -> Answer {
    let deadline = Instant::now() + limit;
    let mut answer = Answer::empty(QueryOutcome::Timeout(limit));
    for (server, left) in servers.iter().zip((1..=servers.len()).rev()) {
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / u32::try_from(left).unwrap_or(u32::MAX);
        answer = follow(*server, name, record_type, now + share, limit).await;
        if let QueryOutcome::Records | QueryOutcome::NoRecords | QueryOutcome::NoSuchName = answer.outcome {
            break;
        }
    }
    answer
}

/// Queries one server, also for the target of an alias that it does not resolve itself.
async fn follow(
    server: SocketAddr,
    name: &Name,
    record_type: RecordType,
    deadline: Instant,
    limit: Duration,
) -> Answer {
    let mut answer = Answer::empty(QueryOutcome::NoRecords);
    let mut name = name.clone();
    loop {
        match exchange::ask(server, &name, record_type, deadline).await {
            // Ends, because the number of aliases is limited.
            Ok(message) => match answer::read(&message, name, record_type, &mut answer) {
                Some(target) => name = target,
                None => return answer,
            },
            Err(fault) => {
                answer.outcome = match fault {
                    exchange::Fault::Timeout => QueryOutcome::Timeout(limit),
                    exchange::Fault::Closed => QueryOutcome::Closed,
                    exchange::Fault::Truncated(why) => QueryOutcome::Truncated(why),
                    exchange::Fault::Failed(why) => QueryOutcome::Failed(why),
                };
                return answer;
            }
        }
    }
}
