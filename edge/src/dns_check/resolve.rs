//! Queries name servers for a name and keeps everything they return: aliases, TTLs and failures.
//!
//! As in [`discovery::dns`](crate::upstream::discovery::dns), hickory-resolver implements the protocol, a name is
//! queried as it is, and the servers of a resolver are queried in order, the next one only if the previous one did not
//! answer.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    Hosts, Resolver as Client, TokioResolver,
    config::{NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::{Query, ResponseCode},
        rr::{Name, RData, RecordType},
    },
    system_conf::read_system_conf,
};
use tokio::time::{Instant, timeout};

use super::facts::{self, Alias, Answer, QueryOutcome, Record};
use crate::upstream::discovery::dns::name_server;

/// The name servers of this machine, or a single one.
pub(super) struct Resolver {
    label: String,
    /// The name servers, or why there is none.
    servers: Result<Vec<NameServerConfig>, String>,
}

impl Resolver {
    /// Creates a resolver of the name servers in `/etc/resolv.conf`.
    pub(super) fn system() -> Self {
        let servers = match read_system_conf() {
            Ok((config, _)) if config.name_servers.is_empty() => {
                Err("/etc/resolv.conf lists no name server".to_owned())
            }
            Ok((config, _)) => Ok(config.name_servers),
            Err(error) => Err(format!("/etc/resolv.conf: {error}")),
        };
        Self { label: "system".to_owned(), servers }
    }

    /// Creates a resolver of one name server.
    pub(super) fn at(address: SocketAddr) -> Self {
        Self { label: address.to_string(), servers: Ok(vec![name_server(address)]) }
    }

    /// Queries the A and AAAA records of `name` within the time limit.
    pub(super) async fn resolve(self, name: &str, limit: Duration) -> facts::Resolver {
        let Self { label, servers } = self;
        let addresses = servers.iter().flatten().map(address).collect();
        let (v4, v6) = match (servers.and_then(|servers| clients(servers, limit)), parse(name)) {
            (Ok(clients), Ok(name)) => tokio::join!(
                query(&clients, &name, RecordType::A, limit),
                query(&clients, &name, RecordType::AAAA, limit)
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

/// Creates one client per server, because the client's own fail-over stops at SERVFAIL.
fn clients(servers: Vec<NameServerConfig>, limit: Duration) -> Result<Vec<TokioResolver>, String> {
    let mut options = ResolverOpts::default();
    options.timeout = limit;
    options.edns0 = true;
    options.cache_size = 0;
    // The report shows the TTLs as received, not capped for a cache.
    options.positive_max_ttl = Some(Duration::from_secs(u32::MAX.into()));
    options.use_hosts_file = ResolveHosts::Never;
    let client = |server| {
        let config = ResolverConfig::from_name_servers(vec![server]);
        Client::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options.clone()).build()
    };
    servers.into_iter().map(client).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Queries one server after the other, each for its share of the remaining time.
async fn query(clients: &[TokioResolver], name: &Name, record_type: RecordType, limit: Duration) -> Answer {
    let deadline = Instant::now() + limit;
    let mut answer = Answer::empty(QueryOutcome::Timeout(limit));
    for (client, left) in clients.iter().zip((1..=clients.len()).rev()) {
        let share = deadline.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(u32::MAX);
        match timeout(share, client.lookup(name.clone(), record_type)).await {
            Ok(Ok(lookup)) => return answer_of(&lookup, record_type),
            Ok(Err(error)) => match outcome(&error, limit) {
                outcome @ (QueryOutcome::NoRecords | QueryOutcome::NoSuchName) => return Answer::empty(outcome),
                outcome => answer = Answer::empty(outcome),
            },
            Err(_) => answer = Answer::empty(QueryOutcome::Timeout(limit)),
        }
    }
    answer
}

fn answer_of(lookup: &Lookup, record_type: RecordType) -> Answer {
    let (mut aliases, mut records) = (Vec::new(), Vec::new());
    for record in lookup.answers() {
        match &record.data {
            RData::CNAME(target) => {
                let alias = Alias { name: text(&record.name), target: text(&target.0), ttl: record.ttl };
                if !aliases.contains(&alias) {
                    aliases.push(alias);
                }
            }
            data if data.record_type() == record_type => {
                records.extend(data.ip_addr().map(|address| Record { address, ttl: record.ttl }));
            }
            _ => {}
        }
    }
    // Name servers rotate their records.
    records.sort_by_key(|record| (record.address, record.ttl));
    let outcome = if records.is_empty() { QueryOutcome::NoRecords } else { QueryOutcome::Records };
    Answer { outcome, aliases, records }
}

fn text(name: &Name) -> String {
    let text = name.to_utf8();
    text.strip_suffix('.').map_or(text.clone(), str::to_owned)
}

fn outcome(error: &NetError, limit: Duration) -> QueryOutcome {
    let code = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        NetError::Dns(DnsError::ResponseCode(code)) => *code,
        NetError::Timeout => return QueryOutcome::Timeout(limit),
        other => return QueryOutcome::Failed(other.to_string()),
    };
    match code {
        ResponseCode::NoError => QueryOutcome::NoRecords,
        ResponseCode::NXDomain => QueryOutcome::NoSuchName,
        ResponseCode::ServFail => QueryOutcome::ServerFailure,
        ResponseCode::Refused => QueryOutcome::Refused,
        other => QueryOutcome::Code(other.to_string()),
    }
}
