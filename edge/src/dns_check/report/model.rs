//! The report as it is told to programs: its fields are those of the JSON. Fields are added, never renamed or removed.

use std::{net::IpAddr, time::SystemTime};

use serde::{Serialize, Serializer};

use crate::dns_check::{date, findings::Finding};

/// Everything about a name.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The name, without a final dot.
    pub name: String,
    /// When it was looked at.
    #[serde(serialize_with = "rfc3339")]
    pub checked: SystemTime,
    /// No finding is a problem.
    pub well: bool,
    /// Who was asked, the system first.
    pub resolvers: Vec<ResolverReport>,
    /// What `/etc/hosts` of this machine has for it.
    pub hosts_file: Vec<IpAddr>,
    /// Every address that any resolver gave and that can be connected to, in order.
    pub addresses: Vec<AddressReport>,
    /// What is to be said, problems first.
    pub findings: Vec<Finding>,
}

/// What one resolver said.
#[derive(Clone, Debug, Serialize)]
pub struct ResolverReport {
    /// `system`, or the address of a name server.
    pub resolver: String,
    /// The name servers behind it.
    pub servers: Vec<String>,
    /// About A records.
    pub a: AnswerReport,
    /// About AAAA records.
    pub aaaa: AnswerReport,
}

/// An answer to one question.
#[derive(Clone, Debug, Serialize)]
pub struct AnswerReport {
    /// `records`, `no_records`, `no_such_name`, `server_failure`, `refused`, `error`, `timeout` or `failed`.
    pub status: &'static str,
    /// More about it, for people.
    pub detail: Option<String>,
    /// CNAMEs on the way.
    pub aliases: Vec<AliasReport>,
    /// Addresses, in order; as often as they came.
    pub records: Vec<RecordReport>,
}

/// A CNAME.
#[derive(Clone, Debug, Serialize)]
pub struct AliasReport {
    /// This name.
    pub name: String,
    /// Stands for this one.
    pub target: String,
    /// Seconds that this may be kept.
    pub ttl: u32,
}

/// An address.
#[derive(Clone, Debug, Serialize)]
pub struct RecordReport {
    /// The address.
    pub address: IpAddr,
    /// Seconds that this may be kept.
    pub ttl: u32,
}

/// What one address is like.
#[derive(Clone, Debug, Serialize)]
pub struct AddressReport {
    /// The address.
    pub address: IpAddr,
    /// Who gave it.
    pub resolvers: Vec<String>,
    /// Plain HTTP; `None` if it was not asked.
    pub http: Option<ContactReport>,
    /// HTTPS.
    pub https: Option<ContactReport>,
    /// What it shows.
    pub certificate: Option<CertificateReport>,
}

/// Who answers at a port.
#[derive(Clone, Debug, Serialize)]
pub struct ContactReport {
    /// The port.
    pub port: u16,
    /// `edge`, `other`, `not_http`, `no_tls`, `closed`, `silent`, `refused`, `timeout`, `unreachable` or `failed`.
    pub status: &'static str,
    /// More about it, for people.
    pub detail: Option<String>,
}

/// A certificate.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateReport {
    /// What it is for.
    pub names: Vec<String>,
    /// Who signed it.
    pub issuer: String,
    /// In hexadecimal.
    pub serial: String,
    /// Not valid before.
    #[serde(serialize_with = "rfc3339")]
    pub not_before: SystemTime,
    /// Not valid after.
    #[serde(serialize_with = "rfc3339")]
    pub not_after: SystemTime,
    /// It is the one that an edge makes itself.
    pub stand_in: bool,
    /// It is for the name.
    pub fits: bool,
    /// Its chain leads to a root of this machine or of `--ca`; `None` if there is none to compare with.
    pub trusted: Option<bool>,
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&date::rfc3339(*time))
}
