//! Queries the name servers.
//!
//! A thin layer over hickory-resolver, which implements the protocol: random ids and ports, EDNS, retransmission over
//! UDP, TCP after a truncated answer (60 addresses do not fit into the 512 bytes of plain DNS). Answers are not cached;
//! [`answer`](super::answer) says why. Differences from a system resolver:
//!
//! - A name is queried as it is, never with a search domain. With one, a service that is missing for a moment would
//!   resolve to the target of a wildcard in that domain.
//! - A and AAAA have separate results, because one query may fail while the other succeeds.
//! - Servers are queried in order, the next one only if the previous one did not answer, as resolv.conf defines it.
//!   Racing servers with different views would make endpoints come and go.
//!
//! A name in `/etc/hosts` has the addresses listed there and is not queried; `localhost` is loopback even if it is not
//! listed (RFC 6761). Both system files are read before the first query, and again until that succeeds.

use std::{
    cell::OnceCell,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_resolver::{
    Hosts, Resolver as Client, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::{Query, ResponseCode},
        rr::{Name, RecordType},
    },
    system_conf::read_system_conf,
};
use tokio::time::{Instant, timeout};

use super::answer::{Answer, Failure};
use crate::config::Dns;

/// Resolves names to addresses.
pub(in crate::upstream) struct Resolver {
    settings: Dns,
    /// Initialised by the first query that can read the system files.
    system: OnceCell<System>,
}

/// The hosts file and the name servers.
struct System {
    hosts: Hosts,
    /// One client per server, because the client's own fail-over stops at SERVFAIL.
    servers: Vec<TokioResolver>,
}

impl Resolver {
    /// Creates a resolver. It reads the system files with the first query.
    pub(crate) fn new(settings: Dns) -> Self {
        Self { settings, system: OnceCell::new() }
    }

    /// The interval between two queries for one name.
    pub(crate) fn interval(&self) -> Duration {
        self.settings.interval
    }

    /// Returns all addresses of `host`, within the configured timeout.
    pub(crate) async fn resolve(&self, host: &str) -> Answer {
        match self.prepare(host) {
            Err(failure) => Answer { v4: Err(failure.clone()), v6: Err(failure) },
            Ok((system, name)) => {
                let fixed = |record_type| system.fixed(&name, record_type);
                match (fixed(RecordType::A), fixed(RecordType::AAAA)) {
                    (None, None) => {
                        let (v4, v6) = tokio::join!(
                            self.ask(system, &name, RecordType::A),
                            self.ask(system, &name, RecordType::AAAA)
                        );
                        Answer { v4, v6 }
                    }
                    (v4, v6) => Answer { v4: Ok(v4.unwrap_or_default()), v6: Ok(v6.unwrap_or_default()) },
                }
            }
        }
    }

    fn prepare(&self, host: &str) -> Result<(&System, Name), Failure> {
        // Relaxed, because service names of a stack contain underscores.
        let mut name = Name::from_str_relaxed(host).map_err(|error| Failure::BadName(error.to_string()))?;
        name.set_fqdn(true);
        if self.system.get().is_none() {
            let system = System::new(&self.settings).map_err(|error| Failure::NoServer(error.to_string()))?;
            return Ok((self.system.get_or_init(|| system), name));
        }
        self.system.get().map(|system| (system, name)).ok_or_else(|| Failure::NoServer("not initialised".to_owned()))
    }

    /// Queries one server after the other, each for its share of the remaining time.
    async fn ask(&self, system: &System, name: &Name, record_type: RecordType) -> Result<Vec<IpAddr>, Failure> {
        let deadline = Instant::now() + self.settings.timeout;
        let mut failure = Failure::Timeout(self.settings.timeout);
        for (server, left) in system.servers.iter().zip((1..=system.servers.len()).rev()) {
            let share = deadline.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(u32::MAX);
            match timeout(share, server.lookup(name.clone(), record_type)).await {
                Ok(Ok(lookup)) => return Ok(addresses(&lookup, record_type)),
                Ok(Err(error)) => match self.classify(&error) {
                    Ok(()) => return Ok(Vec::new()),
                    Err(Failure::NoSuchName) => return Err(Failure::NoSuchName),
                    Err(other) => failure = other,
                },
                Err(_) => {}
            }
        }
        Err(failure)
    }

    /// Maps an error of the client; `Ok` means that the name has no records of the requested type.
    fn classify(&self, error: &NetError) -> Result<(), Failure> {
        match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
                ResponseCode::NoError => Ok(()),
                ResponseCode::NXDomain => Err(Failure::NoSuchName),
                code => Err(Failure::Refused(code.to_string())),
            },
            NetError::Dns(DnsError::ResponseCode(code)) => Err(Failure::Refused(code.to_string())),
            NetError::Timeout => Err(Failure::Timeout(self.settings.timeout)),
            other => Err(Failure::Transport(other.to_string())),
        }
    }
}

impl System {
    fn new(settings: &Dns) -> Result<Self, NetError> {
        let servers = if settings.servers.is_empty() {
            read_system_conf()?.0.name_servers
        } else {
            settings.servers.iter().copied().map(name_server).collect()
        };
        let options = options(settings.timeout);
        let client = |server| {
            Client::builder_with_config(
                ResolverConfig::from_name_servers(vec![server]),
                TokioRuntimeProvider::default(),
            )
            .with_options(options.clone())
            .build()
        };
        // A missing file has no names.
        let hosts = Hosts::from_system().unwrap_or_default();
        Ok(Self { hosts, servers: servers.into_iter().map(client).collect::<Result<_, _>>()? })
    }

    /// Returns the addresses of a name that needs no query.
    fn fixed(&self, name: &Name, record_type: RecordType) -> Option<Vec<IpAddr>> {
        let query = Query::query(name.to_lowercase(), record_type);
        let in_file = self.hosts.lookup_static_host(&query).map(|lookup| addresses(&lookup, record_type));
        in_file.or_else(|| {
            name.is_localhost().then(|| match record_type {
                RecordType::AAAA => vec![Ipv6Addr::LOCALHOST.into()],
                _ => vec![Ipv4Addr::LOCALHOST.into()],
            })
        })
    }
}

/// Returns the configuration of a server that is queried over UDP, and over TCP after truncation.
fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn options(timeout: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = timeout;
    options.edns0 = true;
    // The name is queried again after the interval, and lost datagrams are retransmitted anyway.
    options.attempts = 0;
    options.cache_size = 0;
    options.positive_max_ttl = Some(Duration::ZERO);
    options.negative_max_ttl = Some(Duration::ZERO);
    // `System::fixed` reads it instead.
    options.use_hosts_file = ResolveHosts::Never;
    options
}

/// Returns the addresses among the records, without CNAMEs.
fn addresses(lookup: &Lookup, record_type: RecordType) -> Vec<IpAddr> {
    let records = lookup.answers().iter().filter(|record| record.record_type() == record_type);
    records.filter_map(|record| record.data.ip_addr()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(servers: Vec<SocketAddr>) -> Resolver {
        Resolver::new(Dns { servers, interval: Duration::from_secs(1), timeout: Duration::from_millis(50) })
    }

    #[tokio::test]
    async fn invalid_name_is_an_error() {
        for host in ["a..b", &"x".repeat(64), &"x.".repeat(200)] {
            let answer = resolver(Vec::new()).resolve(host).await;
            assert!(matches!(answer.v4, Err(Failure::BadName(_))), "{host}: {answer:?}");
            assert_eq!(answer.v4, answer.v6);
        }
    }

    #[tokio::test]
    async fn service_names_are_valid() {
        let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for host in ["tasks.my_stack_web", "_a_", "WEB", "web.", "bücher.example"] {
            let answer = resolver(vec![silent.local_addr().unwrap()]).resolve(host).await;
            assert_eq!(answer.v4, Err(Failure::Timeout(Duration::from_millis(50))), "{host}");
        }
    }

    #[tokio::test]
    async fn localhost_is_loopback_in_any_spelling() {
        for host in ["localhost", "LocalHost.", "web.localhost"] {
            let answer = resolver(vec!["127.0.0.1:1".parse().unwrap()]).resolve(host).await;
            assert!(answer.v4.unwrap().contains(&Ipv4Addr::LOCALHOST.into()), "{host}");
        }
    }
}
