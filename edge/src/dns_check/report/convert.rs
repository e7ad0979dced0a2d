//! Makes a report of facts.

use std::net::IpAddr;

use super::model::{
    AddressReport, AliasReport, AnswerReport, CertificateReport, ContactReport, RecordReport, Report, ResolverReport,
};
use crate::dns_check::{
    facts::{self, Contact, Facts, Outcome, Trust},
    findings::{self, Level},
};

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
