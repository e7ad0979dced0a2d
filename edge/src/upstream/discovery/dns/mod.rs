//! Queries the name servers.
//!
//! A thin layer over hickory-resolver, which implements the protocol: random ids and ports, EDNS, retransmission over
//! UDP, TCP after a truncated answer (60 addresses do not fit into the 512 bytes of plain DNS), TLS. Answers are not
//! cached; [`answer`](super::answer) says why. Differences from a system resolver:
//!
//! - A name is queried as it is, never with a search domain. With one, a service that is missing for a moment would
//!   resolve to the target of a wildcard in that domain.
//! - A and AAAA have separate results, because one query may fail while the other succeeds.
//! - Servers are queried in order, the next one only if the previous one did not answer, as resolv.conf defines it.
//!   Racing servers with different views would make endpoints come and go.
//!
//! A name in `/etc/hosts` has the addresses listed there and is not queried; `localhost` is loopback even if it is not
//! listed (RFC 6761). Both system files are read before the first query, and again until that succeeds.

mod client;
mod connector;

use std::{
    cell::OnceCell,
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    rc::Rc,
    time::Duration,
};

use hickory_resolver::{
    Hosts,
    lookup::Lookup,
    net::{DnsError, NetError},
    proto::{
        op::{Query, ResponseCode},
        rr::{Name, RData, Record, RecordType},
    },
    system_conf::read_system_conf,
};
use tokio::time::{Instant, timeout};

use self::client::{QueryError, Server};
use super::answer::{Answer, Failure, ServiceRecord};
use crate::config::{Config, Dns, Interval};

/// How many aliases lead from a name to its SRV records at most.
const MAX_ALIASES: usize = 4;

/// Resolves names.
pub(in crate::upstream) struct Resolver {
    settings: Dns,
    /// Initialised by the first query that can read the system files.
    system: OnceCell<System>,
}

/// The resolvers of a configuration.
pub(in crate::upstream) struct Resolvers {
    default: Rc<Resolver>,
    named: HashMap<String, Rc<Resolver>>,
}

/// The hosts file and the name servers.
struct System {
    hosts: Hosts,
    /// Each with a client of its own, because the client's fail-over stops at SERVFAIL.
    servers: Vec<Server>,
}

impl Resolvers {
    /// Creates the resolvers of a configuration.
    pub(in crate::upstream) fn new(config: &Config) -> Self {
        let named = |(name, settings): (&String, &Dns)| (name.clone(), Rc::new(Resolver::new(settings.clone())));
        Self {
            default: Rc::new(Resolver::new(config.dns.clone())),
            named: config.resolvers.iter().map(named).collect(),
        }
    }

    /// Returns the resolver with this name, or the default one.
    pub(in crate::upstream) fn of(&self, name: Option<&str>) -> Rc<Resolver> {
        Rc::clone(name.and_then(|name| self.named.get(name)).unwrap_or(&self.default))
    }
}

impl Resolver {
    /// Creates a resolver. It reads the system files with the first query.
    pub(crate) fn new(settings: Dns) -> Self {
        Self { settings, system: OnceCell::new() }
    }

    /// The interval between two queries for one name.
    pub(crate) fn interval(&self) -> Interval {
        self.settings.interval
    }

    /// How long one query may take.
    pub(in crate::upstream) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Returns all addresses of `host` within the configured timeout, and their shortest TTL; `None` if a part of the
    /// answer failed, or the name needs no query.
    pub(crate) async fn resolve(&self, host: &str) -> (Answer, Option<Duration>) {
        let (system, name) = match self.prepare(host) {
            Ok(prepared) => prepared,
            Err(failure) => return (Answer { v4: Err(failure.clone()), v6: Err(failure) }, None),
        };
        let fixed = |record_type| system.fixed(&name, record_type);
        match (fixed(RecordType::A), fixed(RecordType::AAAA)) {
            (None, None) => {
                let (v4, v6) =
                    tokio::join!(self.ask(system, &name, RecordType::A), self.ask(system, &name, RecordType::AAAA));
                let ttl = match (&v4, &v6) {
                    (Ok(v4), Ok(v6)) => shortest_ttl(v4.iter().chain(v6)),
                    // A name server may deny the name for one family, see `answer::decide`.
                    (Ok(records), Err(Failure::NoSuchName)) | (Err(Failure::NoSuchName), Ok(records)) => {
                        shortest_ttl(records)
                    }
                    _ => None,
                };
                let addresses = |records: Vec<Record>| records.iter().filter_map(|one| one.data.ip_addr()).collect();
                (Answer { v4: v4.map(addresses), v6: v6.map(addresses) }, ttl)
            }
            (v4, v6) => (Answer { v4: Ok(v4.unwrap_or_default()), v6: Ok(v6.unwrap_or_default()) }, None),
        }
    }

    /// Returns the SRV records of a name, and the shortest TTL of them and of the aliases that lead to them.
    ///
    /// # Errors
    /// There is no answer, or a negative one.
    pub(in crate::upstream) async fn services(
        &self,
        name: &str,
    ) -> Result<(Vec<ServiceRecord>, Option<Duration>), Failure> {
        let (system, mut name) = self.prepare(name)?;
        let mut answer = self.ask(system, &name, RecordType::SRV).await;
        let mut followed = Vec::new();
        for _ in 0..MAX_ALIASES {
            // The client follows no alias that leads to SRV records.
            match &answer {
                Ok(records) if !records.is_empty() => break,
                Ok(_) | Err(Failure::NoSuchName) => {}
                Err(_) => break,
            }
            let aliases = self.ask(system, &name, RecordType::CNAME).await.unwrap_or_default();
            let Some(alias) = aliases.into_iter().next() else { break };
            let RData::CNAME(target) = &alias.data else { break };
            name = target.0.clone();
            followed.push(alias);
            answer = self.ask(system, &name, RecordType::SRV).await;
        }
        let answer = answer?;
        let record = |record: &Record| match &record.data {
            RData::SRV(data) => Some(ServiceRecord {
                priority: data.priority,
                weight: data.weight,
                port: data.port,
                target: data.target.to_lowercase().to_string(),
            }),
            _ => None,
        };
        Ok((answer.iter().filter_map(record).collect(), shortest_ttl(followed.iter().chain(&answer))))
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

    /// Queries one server after the other, each for its share of the remaining time. Returns the records of the type.
    async fn ask(&self, system: &System, name: &Name, record_type: RecordType) -> Result<Vec<Record>, Failure> {
        let deadline = Instant::now() + self.settings.timeout;
        let mut failure = Failure::Timeout(self.settings.timeout);
        for (server, left) in system.servers.iter().zip((1..=system.servers.len()).rev()) {
            let share = deadline.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(u32::MAX);
            match timeout(share, server.query(name.clone(), record_type, &self.settings)).await {
                Ok(Ok(lookup)) => return Ok(records(&lookup, record_type)),
                Ok(Err(error)) => match self.classify(&error) {
                    Ok(()) => return Ok(Vec::new()),
                    Err(Failure::NoSuchName) => return Err(Failure::NoSuchName),
                    Err(other) => {
                        if !matches!(other, Failure::Refused(_)) {
                            server.reconnect();
                        }
                        failure = other;
                    }
                },
                Err(_) => server.reconnect(),
            }
        }
        Err(failure)
    }

    /// Maps an error of the client; `Ok` means that the name has no records of the requested type.
    fn classify(&self, error: &QueryError) -> Result<(), Failure> {
        let QueryError::Net(error) = error else { return Err(Failure::Transport(error.to_string())) };
        match error {
            NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
                ResponseCode::NoError => Ok(()),
                ResponseCode::NXDomain => Err(Failure::NoSuchName),
                code => Err(Failure::Refused(code.to_string())),
            },
            NetError::Dns(DnsError::ResponseCode(code)) => Err(Failure::Refused(code.to_string())),
            NetError::Timeout => Err(Failure::Timeout(self.settings.timeout)),
            // Rustls has words of its own; the kernel's come with a number.
            NetError::Io(error) if error.get_ref().is_none() => Err(Failure::Transport(error.kind().to_string())),
            NetError::Io(error) => Err(Failure::Transport(error.to_string())),
            other => Err(Failure::Transport(other.to_string())),
        }
    }
}

impl System {
    fn new(settings: &Dns) -> Result<Self, NetError> {
        let servers = if settings.servers.is_empty() {
            read_system_conf()?.0.name_servers.into_iter().map(Server::of_system).collect()
        } else {
            settings.servers.iter().map(|server| Server::new(*server, settings)).collect()
        };
        // A missing file has no names.
        Ok(Self { hosts: Hosts::from_system().unwrap_or_default(), servers })
    }

    /// Returns the addresses of a name that needs no query.
    fn fixed(&self, name: &Name, record_type: RecordType) -> Option<Vec<IpAddr>> {
        let query = Query::query(name.to_lowercase(), record_type);
        let addresses =
            |lookup| records(&lookup, record_type).iter().filter_map(|record| record.data.ip_addr()).collect();
        self.hosts.lookup_static_host(&query).map(addresses).or_else(|| {
            name.is_localhost().then(|| match record_type {
                RecordType::AAAA => vec![Ipv6Addr::LOCALHOST.into()],
                _ => vec![Ipv4Addr::LOCALHOST.into()],
            })
        })
    }
}

/// Returns the records of a type, without the aliases that lead to them.
fn records(lookup: &Lookup, record_type: RecordType) -> Vec<Record> {
    lookup.answers().iter().filter(|record| record.record_type() == record_type).cloned().collect()
}

fn shortest_ttl<'a>(records: impl IntoIterator<Item = &'a Record>) -> Option<Duration> {
    records.into_iter().map(|record| Duration::from_secs(record.ttl.into())).min()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn resolver(servers: Vec<SocketAddr>) -> Resolver {
        let servers = servers.into_iter().map(Into::into).collect();
        Resolver::new(Dns { servers, timeout: Duration::from_millis(50), ..Dns::default() })
    }

    #[tokio::test]
    async fn invalid_name_is_an_error() {
        for host in ["a..b", &"x".repeat(64), &"x.".repeat(200)] {
            let (answer, ttl) = resolver(Vec::new()).resolve(host).await;
            assert!(matches!(answer.v4, Err(Failure::BadName(_))), "{host}: {answer:?}");
            assert_eq!((answer.v4, ttl), (answer.v6, None));
        }
    }

    #[tokio::test]
    async fn service_names_are_valid() {
        let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for host in ["tasks.my_stack_web", "_a_", "WEB", "web.", "bücher.example"] {
            let (answer, _) = resolver(vec![silent.local_addr().unwrap()]).resolve(host).await;
            assert_eq!(answer.v4, Err(Failure::Timeout(Duration::from_millis(50))), "{host}");
        }
    }

    #[tokio::test]
    async fn localhost_is_loopback_in_any_spelling() {
        for host in ["localhost", "LocalHost.", "web.localhost"] {
            let (answer, _) = resolver(vec!["127.0.0.1:1".parse().unwrap()]).resolve(host).await;
            assert!(answer.v4.unwrap().contains(&Ipv4Addr::LOCALHOST.into()), "{host}");
        }
    }
}
