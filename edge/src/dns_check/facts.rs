//! What was seen of a name, before anybody judges it.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

/// All of it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The name, without a final dot.
    pub name: String,
    /// When it was looked at.
    pub now: SystemTime,
    /// What `/etc/hosts` of this machine has for it.
    pub hosts_file: Vec<IpAddr>,
    /// Who was asked, the system first.
    pub resolvers: Vec<Resolver>,
    /// Every usable address that any of them gave, in order.
    pub addresses: Vec<Address>,
    /// The ports that addresses were asked on.
    pub ports: Ports,
}

/// Ports of edges; `None` is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Plain HTTP.
    pub http: Option<u16>,
    /// HTTPS.
    pub https: Option<u16>,
}

/// What one resolver said.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// `system`, or the address of a name server.
    pub label: String,
    /// The name servers behind it, in the order in which they are asked.
    pub servers: Vec<SocketAddr>,
    /// About A records.
    pub v4: Answer,
    /// About AAAA records.
    pub v6: Answer,
}

impl Resolver {
    /// Every address it gave.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        [&self.v4, &self.v6].into_iter().flat_map(|answer| answer.records.iter().map(|record| record.address))
    }
}

/// An answer to a question for one type of records.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Whether it is one.
    pub outcome: Outcome,
    /// CNAMEs on the way, in their order.
    pub aliases: Vec<Alias>,
    /// As they came, duplicates too.
    pub records: Vec<Record>,
}

impl Answer {
    /// One without records.
    #[must_use]
    pub const fn empty(outcome: Outcome) -> Self {
        Self { outcome, aliases: Vec::new(), records: Vec::new() }
    }
}

/// How a question ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With records.
    Records,
    /// The name exists and has none of this type.
    NoRecords,
    /// NXDOMAIN.
    NoSuchName,
    /// SERVFAIL.
    ServerFailure,
    /// REFUSED.
    Refused,
    /// Another code.
    Code(String),
    /// Nobody answered in time.
    Timeout(Duration),
    /// It could not be asked, or the answer not be understood.
    Failed(String),
}

/// One name that stands for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The one.
    pub name: String,
    /// The other.
    pub target: String,
    /// Seconds that this may be kept.
    pub ttl: u32,
}

/// One address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The address.
    pub address: IpAddr,
    /// Seconds that this may be kept.
    pub ttl: u32,
}

/// What one address is like.
#[derive(Clone, Debug)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Who answers plain HTTP; `None` if it was not asked.
    pub http: Option<Contact>,
    /// Who answers HTTPS.
    pub https: Option<Contact>,
    /// What it shows before, if it speaks TLS.
    pub certificate: Option<Certificate>,
}

/// Who answers at a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// An edge.
    Edge,
    /// Another HTTP server.
    Other {
        /// Its status.
        status: u16,
        /// What it calls itself.
        server: Option<String>,
    },
    /// Somebody who speaks no HTTP.
    NotHttp,
    /// Somebody who speaks no TLS, and why.
    NoTls(String),
    /// Somebody who closes the connection.
    Closed,
    /// Somebody who says nothing.
    Silent(Duration),
    /// Nobody: the machine refuses.
    Refused,
    /// Nobody that answers at all.
    Timeout(Duration),
    /// Nobody: a router, or this machine on its own network, finds no such machine.
    HostUnreachable,
    /// This machine has no way there.
    Unreachable,
    /// Whatever else the system says.
    Failed(String),
}

/// What a certificate says and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// Who signed it.
    pub issuer: String,
    /// In hexadecimal.
    pub serial: String,
    /// Not valid before.
    pub not_before: SystemTime,
    /// Not valid after.
    pub not_after: SystemTime,
    /// It is the one that an edge makes itself.
    pub stand_in: bool,
    /// It is signed by its own key.
    pub self_signed: bool,
    /// Certificates sent with it.
    pub chain: usize,
    /// It is for the name that was asked for.
    pub fits: bool,
    /// Whether a client has a reason to believe it.
    pub trust: Trust,
}

/// Whether a chain of signatures leads to a root, apart from when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It does.
    Trusted,
    /// It leads to nobody known.
    UnknownIssuer,
    /// This machine has no roots to compare with.
    NoRoots,
    /// Clients refuse it for another reason.
    Refused(String),
}
