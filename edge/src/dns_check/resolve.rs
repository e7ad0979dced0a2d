//! Asking name servers for a name, with all that they say: aliases, TTLs, and how they fail.
//!
//! As in [`upstream::resolver`](crate::upstream::discovery::dns), hickory-resolver does the protocol, a name is asked
//! as it is, and servers of one resolver are asked in their order, the next one only if the one before gave no
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

use super::facts::{self, Alias, Answer, Outcome, Record};
use crate::upstream::discovery::dns::name_server;

/// Who is asked.
pub(super) struct Resolver {
    label: String,
    /// Or why there is none.
    servers: Result<Vec<NameServerConfig>, String>,
}

impl Resolver {
    /// The name servers that this machine uses.
    pub(super) fn of_the_system() -> Self {
        let servers = match read_system_conf() {
            Ok((config, _)) if config.name_servers.is_empty() => Err("/etc/resolv.conf names no server".to_owned()),
            Ok((config, _)) => Ok(config.name_servers),
            Err(error) => Err(format!("/etc/resolv.conf: {error}")),
        };
        Self { label: "system".to_owned(), servers }
    }

    /// One name server.
    pub(super) fn named(address: SocketAddr) -> Self {
        Self { label: address.to_string(), servers: Ok(vec![name_server(address)]) }
    }

    /// Asks for all addresses of `name`.
    pub(super) async fn ask(self, name: &str, within: Duration) -> facts::Resolver {
        let Self { label, servers } = self;
        let addresses = servers.iter().flatten().map(address).collect();
        let (v4, v6) = match (servers.and_then(|servers| clients(servers, within)), parsed(name)) {
            (Ok(clients), Ok(name)) => tokio::join!(
                ask(&clients, &name, RecordType::A, within),
                ask(&clients, &name, RecordType::AAAA, within)
            ),
            (Err(error), _) | (_, Err(error)) => {
                let failed = Answer::empty(Outcome::Failed(error));
                (failed.clone(), failed)
            }
        };
        facts::Resolver { label, servers: addresses, v4, v6 }
    }
}

/// What this machine's file of hosts has for `name`, in order.
pub(super) fn in_hosts_file(name: &str) -> Vec<IpAddr> {
    let (Ok(hosts), Ok(name)) = (Hosts::from_system(), parsed(name)) else { return Vec::new() };
    let all = [RecordType::A, RecordType::AAAA].map(|kind| hosts.lookup_static_host(&Query::query(name.clone(), kind)));
    let records = all.iter().flatten().flat_map(Lookup::answers);
    let mut addresses: Vec<_> = records.filter_map(|record| record.data.ip_addr()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn parsed(name: &str) -> Result<Name, String> {
    let mut name = Name::from_str_relaxed(name).map_err(|error| error.to_string())?;
    name.set_fqdn(true);
    Ok(name)
}

fn address(server: &NameServerConfig) -> SocketAddr {
    let port = server.connections.first().map_or(53, |connection| connection.port);
    SocketAddr::new(server.ip, port)
}

/// One client for each server, because the client's own fail-over stops at SERVFAIL.
fn clients(servers: Vec<NameServerConfig>, within: Duration) -> Result<Vec<TokioResolver>, String> {
    let mut options = ResolverOpts::default();
    options.timeout = within;
    options.edns0 = true;
    options.cache_size = 0;
    // As they come, not as they would be kept.
    options.positive_max_ttl = Some(Duration::from_secs(u32::MAX.into()));
    options.use_hosts_file = ResolveHosts::Never;
    let client = |server| {
        let config = ResolverConfig::from_name_servers(vec![server]);
        Client::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options.clone()).build()
    };
    servers.into_iter().map(client).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Asks one server after the other, each for its share of the time that is left.
async fn ask(clients: &[TokioResolver], name: &Name, kind: RecordType, within: Duration) -> Answer {
    let deadline = Instant::now() + within;
    let mut answer = Answer::empty(Outcome::Timeout(within));
    for (client, left) in clients.iter().zip((1..=clients.len()).rev()) {
        let share = deadline.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(u32::MAX);
        match timeout(share, client.lookup(name.clone(), kind)).await {
            Ok(Ok(lookup)) => return read(&lookup, kind),
            Ok(Err(error)) => match outcome(&error, within) {
                outcome @ (Outcome::NoRecords | Outcome::NoSuchName) => return Answer::empty(outcome),
                outcome => answer = Answer::empty(outcome),
            },
            Err(_) => answer = Answer::empty(Outcome::Timeout(within)),
        }
    }
    answer
}

fn read(lookup: &Lookup, kind: RecordType) -> Answer {
    let (mut aliases, mut records) = (Vec::new(), Vec::new());
    for record in lookup.answers() {
        match &record.data {
            RData::CNAME(target) => {
                let alias = Alias { name: text(&record.name), target: text(&target.0), ttl: record.ttl };
                if !aliases.contains(&alias) {
                    aliases.push(alias);
                }
            }
            data if data.record_type() == kind => {
                records.extend(data.ip_addr().map(|address| Record { address, ttl: record.ttl }));
            }
            _ => {}
        }
    }
    // Servers shuffle.
    records.sort_by_key(|record| (record.address, record.ttl));
    let outcome = if records.is_empty() { Outcome::NoRecords } else { Outcome::Records };
    Answer { outcome, aliases, records }
}

fn text(name: &Name) -> String {
    let text = name.to_utf8();
    text.strip_suffix('.').map_or(text.clone(), str::to_owned)
}

fn outcome(error: &NetError, within: Duration) -> Outcome {
    let code = match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        NetError::Dns(DnsError::ResponseCode(code)) => *code,
        NetError::Timeout => return Outcome::Timeout(within),
        other => return Outcome::Failed(other.to_string()),
    };
    match code {
        ResponseCode::NoError => Outcome::NoRecords,
        ResponseCode::NXDomain => Outcome::NoSuchName,
        ResponseCode::ServFail => Outcome::ServerFailure,
        ResponseCode::Refused => Outcome::Refused,
        other => Outcome::Code(other.to_string()),
    }
}
