//! The report. Its fields are those of the JSON: fields may be added, but are never renamed or removed.

use std::{net::IpAddr, time::SystemTime};

use serde::{Serialize, Serializer};

use crate::dns_check::{date, findings::Finding};

/// The result of checking one name.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The name, without a final dot.
    pub name: String,
    /// When the check ended.
    #[serde(serialize_with = "rfc3339")]
    pub checked: SystemTime,
    /// Whether no finding is a problem.
    pub well: bool,
    /// The resolvers that were queried, the system first.
    pub resolvers: Vec<ResolverReport>,
    /// The addresses that `/etc/hosts` of this machine lists for the name.
    pub hosts_file: Vec<IpAddr>,
    /// The usable addresses that any resolver returned, sorted.
    pub addresses: Vec<AddressReport>,
    /// The findings, problems first.
    pub findings: Vec<Finding>,
}

/// The answers of one resolver.
#[derive(Clone, Debug, Serialize)]
pub struct ResolverReport {
    /// `system`, or the address of a name server.
    pub resolver: String,
    /// Its name servers.
    pub servers: Vec<String>,
    /// The answer to the query for A records.
    pub a: AnswerReport,
    /// The answer to the query for AAAA records.
    pub aaaa: AnswerReport,
}

/// The answer to one query.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerReport {
    /// `records`, `no_records`, `no_such_name`, `server_failure`, `refused`, `error`, `referral`, `alias_loop`,
    /// `truncated`, `closed`, `timeout` or `failed`.
    pub status: &'static str,
    /// More about the status, as text.
    pub detail: Option<String>,
    /// The CNAMEs that were followed.
    pub aliases: Vec<AliasReport>,
    /// The records, sorted, duplicates included.
    pub records: Vec<RecordReport>,
}

/// A CNAME record.
#[derive(Clone, Debug, Serialize)]
pub struct AliasReport {
    /// The alias.
    pub name: String,
    /// The name that it refers to.
    pub target: String,
    /// The time to live, in seconds.
    pub ttl: u32,
}

/// An A or AAAA record.
#[derive(Clone, Debug, Serialize)]
pub struct RecordReport {
    /// The address.
    pub address: IpAddr,
    /// The time to live, in seconds.
    pub ttl: u32,
}

/// The results of probing one address.
#[derive(Clone, Debug, Serialize)]
pub struct AddressReport {
    /// The address.
    pub address: IpAddr,
    /// The resolvers that returned it.
    pub resolvers: Vec<String>,
    /// The result for plain HTTP; `None` if it was not probed.
    pub http: Option<ProbeReport>,
    /// The result for HTTPS; `None` if it was not probed.
    pub https: Option<ProbeReport>,
    /// The certificate presented in the TLS handshake, if there was one.
    pub certificate: Option<CertificateReport>,
}

/// What responds at a port.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeReport {
    /// The port.
    pub port: u16,
    /// `edge`, `other`, `not_http`, `no_tls`, `closed`, `silent`, `refused`, `timeout`, `host_unreachable`,
    /// `unreachable` or `failed`.
    pub status: &'static str,
    /// More about the status, as text.
    pub detail: Option<String>,
}

/// A certificate.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateReport {
    /// The DNS names and addresses that it is for.
    pub names: Vec<String>,
    /// The distinguished name of its issuer.
    pub issuer: String,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// The start of its validity.
    #[serde(serialize_with = "rfc3339")]
    pub not_before: SystemTime,
    /// The end of its validity.
    #[serde(serialize_with = "rfc3339")]
    pub not_after: SystemTime,
    /// Whether it is the self-signed one that an edge generates.
    pub stand_in: bool,
    /// Whether it is valid for the name.
    pub fits: bool,
    /// Whether its chain leads to a root of this machine or of `--ca`; `None` if there are no roots.
    pub trusted: Option<bool>,
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&date::rfc3339(*time))
}
