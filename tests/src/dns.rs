//! A DNS server whose answers a test changes while it runs.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
use hickory_server::proto::op::{Header, HeaderCounts, Metadata, ResponseCode};
use hickory_server::proto::rr::rdata::{CNAME, SRV};
use hickory_server::proto::rr::{LowerName, Name, RData, Record, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, UdpSocket};

use crate::cert::Certificate;
use crate::port;
use crate::wait::{SOON, eventually_some};

/// The time to live of every answer of Docker's embedded server, and the default here. Seconds.
pub const DOCKER_TTL: u32 = 600;

const TCP_IDLE: Duration = Duration::from_secs(60);
const TCP_ANSWERS_QUEUED: usize = 16;

/// The answer for one name. [`Answer::addresses`] makes [`Addresses`](Self::Addresses) from an iterator of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// NOERROR with the A or AAAA records of the question. A name with addresses of one family has an empty NOERROR for
    /// the other.
    Addresses {
        /// In the order in which they are sent.
        addresses: Vec<IpAddr>,
        /// Seconds.
        ttl: u32,
        /// Truncates the answer over UDP, so that the client must ask again over TCP.
        truncated: bool,
    },
    /// NOERROR with the SRV records of the question.
    Services {
        /// In the order in which they are sent.
        services: Vec<Service>,
        /// Seconds.
        ttl: u32,
    },
    /// NOERROR with a CNAME and, like a resolver, the answer for the target name.
    Alias {
        /// The name that the CNAME points to.
        target: String,
        /// The CNAME's, in seconds.
        ttl: u32,
    },
    /// NOERROR without a record.
    Empty,
    /// NXDOMAIN, which is also the answer for an unknown name.
    NoSuchName,
    /// SERVFAIL.
    ServerFailure,
    /// REFUSED.
    Refused,
    /// No answer: the client times out.
    Silence,
}

/// One SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Lower ones first.
    pub priority: u16,
    /// The share among those of the same priority.
    pub weight: u16,
    /// The port of the service.
    pub port: u16,
    /// The name of its host.
    pub target: String,
}

impl Service {
    /// Creates a record.
    #[must_use]
    pub fn new(priority: u16, weight: u16, port: u16, target: &str) -> Self {
        Self { priority, weight, port, target: target.to_owned() }
    }
}

impl Answer {
    /// Creates NOERROR with `addresses`, valid for [`DOCKER_TTL`] seconds.
    pub fn addresses<A: Into<IpAddr>>(addresses: impl IntoIterator<Item = A>) -> Self {
        Self::Addresses {
            addresses: addresses.into_iter().map(Into::into).collect(),
            ttl: DOCKER_TTL,
            truncated: false,
        }
    }
}

/// A DNS server over UDP and TCP on one port, and over TLS on another. Dropping it stops it.
pub struct Dns {
    address: SocketAddr,
    over_tls: Option<SocketAddr>,
    zone: Zone,
    _server: Server<Zone>,
}

impl Dns {
    /// Starts a server without names.
    ///
    /// # Panics
    /// If its port cannot be bound.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()))).await
    }

    /// Starts a server at an address of this machine.
    ///
    /// # Panics
    /// If the address cannot be bound.
    pub async fn start_at(address: SocketAddr) -> Self {
        Self::start_with(address, None).await
    }

    /// Starts a server without names that also serves TLS with a certificate.
    ///
    /// # Panics
    /// If a port cannot be bound, or the certificate cannot be used.
    pub async fn start_with_tls(certificate: &Certificate) -> Self {
        let chain = CertificateDer::pem_file_iter(&certificate.certificate_file).expect("a file");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
        let key = PrivateKeyDer::from_pem_file(&certificate.key_file).expect("a key");
        let config = ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into());
        let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
        let config = config.with_single_cert(chain, key).expect("a usable certificate");
        Self::start_with(SocketAddr::from((Ipv4Addr::LOCALHOST, port::free())), Some(config)).await
    }

    async fn start_with(address: SocketAddr, tls: Option<ServerConfig>) -> Self {
        let zone = Zone::default();
        let mut server = Server::new(zone.clone());
        // A process started by another test holds copies of all our sockets until it executes its program.
        let udp = eventually_some("a free UDP port", SOON, async || UdpSocket::bind(address).await.ok()).await;
        server.register_socket(udp);
        let tcp = eventually_some("a free TCP port", SOON, async || TcpListener::bind(address).await.ok()).await;
        server.register_listener(tcp, TCP_IDLE, TCP_ANSWERS_QUEUED);
        let mut over_tls = None;
        if let Some(config) = tls {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
            over_tls = Some(listener.local_addr().expect("an address"));
            server.register_tls_listener_with_tls_config(listener, TCP_IDLE, Arc::new(config)).expect("a listener");
        }
        Self { address, over_tls, zone, _server: server }
    }

    /// Returns the address, which is the same for UDP and TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address for queries over TLS.
    ///
    /// # Panics
    /// If the server was started without TLS.
    #[must_use]
    pub fn tls_address(&self) -> SocketAddr {
        self.over_tls.expect("a server with TLS")
    }

    /// Sets the answer for `name` from the next query on. Names are compared without case and final dot.
    pub fn set(&self, name: &str, answer: Answer) {
        self.zone.names().entry(key(name)).or_default().answer = Some(answer);
    }

    /// Returns the number of queries for `name`, of all types and over UDP and TCP.
    #[must_use]
    pub fn queries(&self, name: &str) -> usize {
        self.zone.names().get(&key(name)).map_or(0, |entry| entry.queries)
    }

    /// Returns the number of queries for `name` over TLS.
    #[must_use]
    pub fn queries_over_tls(&self, name: &str) -> usize {
        self.zone.names().get(&key(name)).map_or(0, |entry| entry.over_tls)
    }

    /// Returns the number of queries for `name` over TCP.
    #[must_use]
    pub fn queries_over_tcp(&self, name: &str) -> usize {
        self.zone.names().get(&key(name)).map_or(0, |entry| entry.over_tcp)
    }
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dns").field("address", &self.address).finish_non_exhaustive()
    }
}

fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[derive(Debug, Default)]
struct Entry {
    answer: Option<Answer>,
    queries: usize,
    over_tcp: usize,
    over_tls: usize,
}

#[derive(Clone, Default)]
struct Zone(Arc<Mutex<HashMap<String, Entry>>>);

impl Zone {
    fn names(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the query and returns the current answer.
    fn query(&self, name: &LowerName, protocol: Protocol) -> Answer {
        let mut names = self.names();
        let entry = names.entry(key(&name.to_string())).or_default();
        entry.queries += 1;
        entry.over_tcp += usize::from(protocol == Protocol::Tcp);
        entry.over_tls += usize::from(protocol == Protocol::Tls);
        entry.answer.clone().unwrap_or(Answer::NoSuchName)
    }
}

#[async_trait]
impl RequestHandler for Zone {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut to_client: R) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.recursion_available = true;
        let nothing_sent = ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() });
        let Ok(info) = request.request_info() else {
            return nothing_sent;
        };
        let mut records = Vec::new();
        let mut name = info.query.original().name().clone();
        let mut answer = self.query(info.query.name(), request.protocol());
        while let Answer::Alias { target, ttl } = answer {
            let target = Name::from_ascii(format!("{}.", key(&target))).expect("a name");
            records.push(Record::from_rdata(name, ttl, RData::CNAME(CNAME(target.clone()))));
            answer = self.query(&LowerName::from(&target), request.protocol());
            name = target;
        }
        match answer {
            Answer::Alias { .. } => {}
            Answer::Silence => return nothing_sent,
            Answer::Empty => {}
            Answer::NoSuchName => metadata.response_code = ResponseCode::NXDomain,
            Answer::Refused => metadata.response_code = ResponseCode::Refused,
            Answer::ServerFailure => metadata.response_code = ResponseCode::ServFail,
            Answer::Addresses { truncated: true, .. } if request.protocol() == Protocol::Udp => {
                metadata.truncation = true;
            }
            Answer::Services { services, ttl } if info.query.query_type() == RecordType::SRV => {
                records.extend(services.iter().map(|service| {
                    let target = Name::from_ascii(format!("{}.", key(&service.target))).expect("a name");
                    let data = SRV::new(service.priority, service.weight, service.port, target);
                    Record::from_rdata(name.clone(), ttl, RData::SRV(data))
                }));
            }
            Answer::Services { .. } => {}
            Answer::Addresses { addresses, ttl, .. } => {
                let kind = info.query.query_type();
                let of_kind = |data: &RData| data.record_type() == kind || kind == RecordType::ANY;
                let data = addresses.into_iter().map(record_data).filter(of_kind);
                records.extend(data.map(|data| Record::from_rdata(name.clone(), ttl, data)));
            }
        }
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = request.edns.as_ref() {
            builder.edns(edns);
        }
        let response = builder.build(metadata, &records, [], [], []);
        // The client may have closed its socket.
        to_client.send_response(response).await.unwrap_or(nothing_sent)
    }
}

fn record_data(address: IpAddr) -> RData {
    match address {
        IpAddr::V4(address) => RData::A(address.into()),
        IpAddr::V6(address) => RData::AAAA(address.into()),
    }
}
