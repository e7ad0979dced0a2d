//! Converts facts to a report.

use std::net::IpAddr;

use super::model::{
    AddressReport, AliasReport, AnswerReport, CertificateReport, ProbeReport, RecordReport, Report, ResolverReport,
};
use crate::dns_check::{
    facts::{self, Facts, ProbeOutcome, QueryOutcome, Trust},
    findings::{self, Level},
};

impl Report {
    /// Creates the report on these facts, with the findings that follow from them.
    #[must_use]
    pub fn new(facts: Facts) -> Self {
        let findings = findings::findings(&facts);
        let returned_by = |address: IpAddr| {
            let returns_it = |resolver: &&facts::Resolver| resolver.addresses().any(|other| other == address);
            facts.resolvers.iter().filter(returns_it).map(|resolver| resolver.label.clone()).collect()
        };
        let address = |address: &facts::Address| AddressReport {
            address: address.address,
            resolvers: returned_by(address.address),
            http: probe(facts.ports.http, address.http.as_ref()),
            https: probe(facts.ports.https, address.https.as_ref()),
            certificate: address.certificate.as_ref().map(certificate),
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

fn resolver(resolver: &facts::Resolver) -> ResolverReport {
    ResolverReport {
        resolver: resolver.label.clone(),
        servers: resolver.servers.iter().map(ToString::to_string).collect(),
        a: answer(&resolver.v4),
        aaaa: answer(&resolver.v6),
    }
}

fn answer(answer: &facts::Answer) -> AnswerReport {
    let (status, detail) = match &answer.outcome {
        QueryOutcome::Records => ("records", None),
        QueryOutcome::NoRecords => ("no_records", None),
        QueryOutcome::NoSuchName => ("no_such_name", None),
        QueryOutcome::ServerFailure => ("server_failure", None),
        QueryOutcome::Refused => ("refused", None),
        QueryOutcome::Code(code) => ("error", Some(code.clone())),
        QueryOutcome::Referral(zone) => ("referral", Some(format!("to the name servers of {zone}"))),
        QueryOutcome::AliasLoop => ("alias_loop", None),
        QueryOutcome::Truncated(why) => ("truncated", Some(format!("TCP failed: {why}"))),
        QueryOutcome::Closed => ("closed", Some("no program listens on the port".to_owned())),
        QueryOutcome::Timeout(limit) => ("timeout", Some(format!("no answer within {limit:?}"))),
        QueryOutcome::Failed(why) => ("failed", Some(why.clone())),
    };
    let alias =
        |alias: &facts::Alias| AliasReport { name: alias.name.clone(), target: alias.target.clone(), ttl: alias.ttl };
    let record = |record: &facts::Record| RecordReport { address: record.address, ttl: record.ttl };
    AnswerReport {
        status,
        detail,
        aliases: answer.aliases.iter().map(alias).collect(),
        records: answer.records.iter().map(record).collect(),
    }
}

fn probe(port: Option<u16>, outcome: Option<&ProbeOutcome>) -> Option<ProbeReport> {
    let (port, outcome) = (port?, outcome?);
    Some(ProbeReport { port, status: status(outcome), detail: detail(outcome) })
}

const fn status(outcome: &ProbeOutcome) -> &'static str {
    match outcome {
        ProbeOutcome::Edge => "edge",
        ProbeOutcome::Other { .. } => "other",
        ProbeOutcome::NotHttp => "not_http",
        ProbeOutcome::NoTls(_) => "no_tls",
        ProbeOutcome::Closed => "closed",
        ProbeOutcome::Silent(_) => "silent",
        ProbeOutcome::Refused => "refused",
        ProbeOutcome::Timeout(_) => "timeout",
        ProbeOutcome::HostUnreachable => "host_unreachable",
        ProbeOutcome::NetworkUnreachable => "unreachable",
        ProbeOutcome::Failed(_) => "failed",
    }
}

fn detail(outcome: &ProbeOutcome) -> Option<String> {
    match outcome {
        ProbeOutcome::Other { status, server: None } => Some(format!("status {status}")),
        ProbeOutcome::Other { status, server: Some(server) } => Some(format!("status {status}, {server}")),
        ProbeOutcome::NoTls(why) | ProbeOutcome::Failed(why) => Some(why.clone()),
        ProbeOutcome::Silent(limit) => Some(format!("no response within {limit:?}")),
        ProbeOutcome::Timeout(limit) => Some(format!("no connection within {limit:?}")),
        _ => None,
    }
}

fn certificate(certificate: &facts::Certificate) -> CertificateReport {
    CertificateReport {
        names: certificate.names.clone(),
        issuer: certificate.issuer.clone(),
        serial: certificate.serial.clone(),
        not_before: certificate.not_before,
        not_after: certificate.not_after,
        stand_in: certificate.stand_in,
        fits: certificate.matches_name,
        trusted: match certificate.trust {
            Trust::Trusted => Some(true),
            Trust::UnknownIssuer | Trust::Rejected(_) => Some(false),
            Trust::NoRoots => None,
        },
    }
}
