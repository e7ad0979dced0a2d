//! What is told about a name, to people and to programs.
//!
//! The JSON is the report as it stands here: fields are added, never renamed or removed.

#[cfg(test)]
mod tests;
mod text;

use std::{net::IpAddr, time::SystemTime};

use serde::{Serialize, Serializer};

use super::{
    date,
    facts::{self, Contact, Facts, Outcome, Trust},
    findings::{self, Finding, Level},
};

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

impl Report {
    /// Judges the facts.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        let findings = findings::findings(&facts);
        let givers = |address: IpAddr| {
            let gives = |resolver: &&facts::Resolver| resolver.addresses().any(|its| its == address);
            facts.resolvers.iter().filter(gives).map(|resolver| resolver.label.clone()).collect()
        };
        let contact = |port: Option<u16>, contact: &Option<Contact>| {
            let (port, contact) = (port?, contact.as_ref()?);
            Some(ContactReport { port, status: status(contact), detail: detail(contact) })
        };
        let address = |seen: &facts::Address| AddressReport {
            address: seen.address,
            resolvers: givers(seen.address),
            http: contact(facts.ports.http, &seen.http),
            https: contact(facts.ports.https, &seen.https),
            certificate: seen.certificate.as_ref().map(certificate),
        };
        Self {
            well: findings.iter().all(|finding| finding.level != Level::Problem),
            checked: facts.now,
            resolvers: facts.resolvers.iter().map(resolver).collect(),
            hosts_file: facts.hosts_file.clone(),
            addresses: facts.addresses.iter().map(address).collect(),
            findings,
            name: facts.name,
        }
    }

    /// Whether a script may go on.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        self.well
    }

    /// The report as text, or as JSON.
    #[must_use]
    pub fn render(&self, json: bool) -> String {
        let mut text = String::new();
        // Neither can fail: a string takes what is written to it, and every field can be JSON.
        if json {
            text = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        } else {
            self.write(&mut text).unwrap_or_default();
        }
        text
    }
}

fn resolver(said: &facts::Resolver) -> ResolverReport {
    ResolverReport {
        resolver: said.label.clone(),
        servers: said.servers.iter().map(ToString::to_string).collect(),
        a: answer(&said.v4),
        aaaa: answer(&said.v6),
    }
}

fn answer(said: &facts::Answer) -> AnswerReport {
    let (status, detail) = match &said.outcome {
        Outcome::Records => ("records", None),
        Outcome::NoRecords => ("no_records", None),
        Outcome::NoSuchName => ("no_such_name", None),
        Outcome::ServerFailure => ("server_failure", None),
        Outcome::Refused => ("refused", None),
        Outcome::Code(code) => ("error", Some(code.clone())),
        Outcome::Timeout(within) => ("timeout", Some(format!("no answer within {within:?}"))),
        Outcome::Failed(why) => ("failed", Some(why.clone())),
    };
    let alias =
        |alias: &facts::Alias| AliasReport { name: alias.name.clone(), target: alias.target.clone(), ttl: alias.ttl };
    let record = |record: &facts::Record| RecordReport { address: record.address, ttl: record.ttl };
    AnswerReport {
        status,
        detail,
        aliases: said.aliases.iter().map(alias).collect(),
        records: said.records.iter().map(record).collect(),
    }
}

const fn status(contact: &Contact) -> &'static str {
    match contact {
        Contact::Edge => "edge",
        Contact::Other { .. } => "other",
        Contact::NotHttp => "not_http",
        Contact::NoTls(_) => "no_tls",
        Contact::Closed => "closed",
        Contact::Silent(_) => "silent",
        Contact::Refused => "refused",
        Contact::Timeout(_) => "timeout",
        Contact::HostUnreachable => "host_unreachable",
        Contact::Unreachable => "unreachable",
        Contact::Failed(_) => "failed",
    }
}

fn detail(contact: &Contact) -> Option<String> {
    match contact {
        Contact::Other { status, server: None } => Some(format!("status {status}")),
        Contact::Other { status, server: Some(server) } => Some(format!("status {status}, {server}")),
        Contact::NoTls(why) | Contact::Failed(why) => Some(why.clone()),
        Contact::Silent(within) | Contact::Timeout(within) => Some(format!("nothing within {within:?}")),
        _ => None,
    }
}

fn certificate(shown: &facts::Certificate) -> CertificateReport {
    CertificateReport {
        names: shown.names.clone(),
        issuer: shown.issuer.clone(),
        serial: shown.serial.clone(),
        not_before: shown.not_before,
        not_after: shown.not_after,
        stand_in: shown.stand_in,
        fits: shown.fits,
        trusted: match shown.trust {
            Trust::Trusted => Some(true),
            Trust::UnknownIssuer | Trust::Refused(_) => Some(false),
            Trust::NoRoots => None,
        },
    }
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&date::rfc3339(*time))
}
