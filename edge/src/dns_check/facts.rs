//! What a check observed about a name, without any interpretation.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

/// The label of the resolver that queries the name servers of this machine.
pub const SYSTEM: &str = "system";

/// All observations of one check.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The name, without a final dot.
    pub name: String,
    /// When the check ended.
    pub now: SystemTime,
    /// The addresses that `/etc/hosts` of this machine lists for the name.
    pub hosts_file: Vec<IpAddr>,
    /// The resolvers that were queried, the system first.
    pub resolvers: Vec<Resolver>,
    /// The addresses that any resolver returned and clients can use, sorted.
    pub addresses: Vec<Address>,
    /// The ports that were probed.
    pub ports: Ports,
}

/// The ports that edges serve on; `None` is not probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Plain HTTP.
    pub http: Option<u16>,
    /// HTTPS.
    pub https: Option<u16>,
}

/// The answers of one resolver.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// `system`, or the address of a name server.
    pub label: String,
    /// Its name servers, in the order in which they are queried.
    pub servers: Vec<SocketAddr>,
    /// The answer to the query for A records.
    pub v4: Answer,
    /// The answer to the query for AAAA records.
    pub v6: Answer,
}

impl Resolver {
    /// Returns the addresses of both answers.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        [&self.v4, &self.v6].into_iter().flat_map(|answer| answer.records.iter().map(|record| record.address))
    }
}

/// The answer to a query for records of one type.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How the query ended.
    pub outcome: QueryOutcome,
    /// The CNAMEs that were followed, in order.
    pub aliases: Vec<Alias>,
    /// The records, duplicates included.
    pub records: Vec<Record>,
}

impl Answer {
    /// Creates an answer without records.
    #[must_use]
    pub const fn empty(outcome: QueryOutcome) -> Self {
        Self { outcome, aliases: Vec::new(), records: Vec::new() }
    }
}

/// How a query ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryOutcome {
    /// NOERROR with records.
    Records,
    /// NOERROR without records of this type: the name exists.
    NoRecords,
    /// NXDOMAIN.
    NoSuchName,
    /// SERVFAIL.
    ServerFailure,
    /// REFUSED.
    Refused,
    /// Another response code.
    Code(String),
    /// The name servers of this zone are responsible, and the queried one does not query them.
    Referral(String),
    /// The aliases form a loop, or an endless chain.
    AliasLoop,
    /// The answer is too long for a datagram, and TCP fails; the cause.
    Truncated(String),
    /// The machine of the name server reports that no program listens on the port.
    Closed,
    /// No name server answered within the time limit.
    Timeout(Duration),
    /// The query could not be sent, or the answer could not be parsed.
    Failed(String),
}

/// A CNAME record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The alias.
    pub name: String,
    /// The name that it refers to.
    pub target: String,
    /// The time to live, in seconds.
    pub ttl: u32,
}

/// An A or AAAA record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The address.
    pub address: IpAddr,
    /// The time to live, in seconds.
    pub ttl: u32,
}

/// The results of probing one address.
#[derive(Clone, Debug)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// The result for plain HTTP; `None` if it was not probed.
    pub http: Option<ProbeOutcome>,
    /// The result for HTTPS; `None` if it was not probed.
    pub https: Option<ProbeOutcome>,
    /// The certificate presented in the TLS handshake, if there was one.
    pub certificate: Option<Certificate>,
}

/// What responds at a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeOutcome {
    /// An edge.
    Edge,
    /// Another HTTP server.
    Other {
        /// The status of its response.
        status: u16,
        /// The `Server` field of its response.
        server: Option<String>,
    },
    /// A response that is not HTTP.
    NotHttp,
    /// A failed TLS handshake; the cause.
    NoTls(String),
    /// The connection was closed without a response.
    Closed,
    /// No response on an open connection within the time limit.
    Silent(Duration),
    /// The machine refused the connection.
    Refused,
    /// No connection within the time limit.
    Timeout(Duration),
    /// A router, or this machine on its own network, reported that the machine is unreachable.
    HostUnreachable,
    /// This machine has no route to the address.
    NetworkUnreachable,
    /// Another error of the system.
    Failed(String),
}

/// A certificate, and how clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// The distinguished name of its issuer.
    pub issuer: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// The start of its validity.
    pub not_before: SystemTime,
    /// The end of its validity.
    pub not_after: SystemTime,
    /// Whether it is the self-signed one that an edge generates.
    pub stand_in: bool,
    /// Whether its issuer is its subject.
    pub self_signed: bool,
    /// The number of further certificates sent with it.
    pub intermediates: usize,
    /// Whether it is valid for the name of the check.
    pub matches_name: bool,
    /// Whether its chain leads to a trusted root.
    pub trust: Trust,
}

/// Whether a chain of signatures leads to a trusted root, regardless of the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It leads to a trusted root.
    Trusted,
    /// It leads to no known authority.
    UnknownIssuer,
    /// This machine has no roots to compare with.
    NoRoots,
    /// Clients reject the certificate for another reason.
    Rejected(String),
}
