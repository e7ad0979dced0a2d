//! Facts for tests of findings and of the report.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use super::{
    facts::{Address, Answer, Certificate, Facts, Ports, ProbeOutcome, QueryOutcome, Record, Resolver, Trust},
    findings::{Finding, Level, findings},
};

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The time of the checks: the middle of the validity of [`certificate`].
pub(super) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

/// An answer from text: addresses with an optional TTL after a slash, or how the query failed.
pub(super) fn answer(text: &str) -> Answer {
    match text {
        "" => Answer::empty(QueryOutcome::NoRecords),
        "nx" => Answer::empty(QueryOutcome::NoSuchName),
        "fail" => Answer::empty(QueryOutcome::ServerFailure),
        "late" => Answer::empty(QueryOutcome::Timeout(Duration::from_secs(5))),
        "refused" => Answer::empty(QueryOutcome::Refused),
        "closed" => Answer::empty(QueryOutcome::Closed),
        "loop" => Answer::empty(QueryOutcome::AliasLoop),
        "referral" => Answer::empty(QueryOutcome::Referral("example.com".to_owned())),
        "udp only" => Answer::empty(QueryOutcome::Truncated("connection refused".to_owned())),
        addresses => {
            let record = |text: &str| {
                let (address, ttl) = text.split_once('/').unwrap_or((text, "60"));
                Record { address: address.parse().unwrap(), ttl: ttl.parse().unwrap() }
            };
            let records = addresses.split_whitespace().map(record).collect();
            Answer { outcome: QueryOutcome::Records, aliases: Vec::new(), records }
        }
    }
}

pub(super) fn resolver(label: &str, server: &str, v4: &str, v6: &str) -> Resolver {
    let servers = vec![format!("{server}:53").parse().unwrap()];
    Resolver { label: label.to_owned(), servers, v4: answer(v4), v6: answer(v6) }
}

fn certificate() -> Certificate {
    Certificate {
        names: vec!["www.example.com".to_owned()],
        issuer: "CN=an authority".to_owned(),
        serial: "01".to_owned(),
        not_before: now() - 45 * DAY,
        not_after: now() + 45 * DAY,
        stand_in: false,
        self_signed: false,
        intermediates: 1,
        matches_name: true,
        trust: Trust::Trusted,
    }
}

pub(super) fn edge(address: &str) -> Address {
    Address {
        address: address.parse().unwrap(),
        http: Some(ProbeOutcome::Edge),
        https: Some(ProbeOutcome::Edge),
        certificate: Some(certificate()),
    }
}

/// The facts about a name whose addresses are all good edges.
pub(super) fn facts(resolvers: Vec<Resolver>) -> Facts {
    let mut all: Vec<IpAddr> = resolvers.iter().flat_map(Resolver::addresses).collect();
    all.sort_unstable();
    all.dedup();
    Facts {
        name: "www.example.com".to_owned(),
        now: now(),
        hosts_file: Vec::new(),
        addresses: all.iter().map(|address| edge(&address.to_string())).collect(),
        resolvers,
        ports: Ports { http: Some(80), https: Some(443) },
    }
}

/// The facts about a name with two good edges and one resolver.
pub(super) fn two_edges() -> Facts {
    facts(vec![resolver("system", "192.168.0.1", "203.0.113.7 203.0.113.8", "")])
}

/// The findings as `ABOUT CODE`, hints with a leading `?`.
pub(super) fn codes(facts: &Facts) -> Vec<String> {
    let code = |finding: &Finding| {
        let mark = if finding.level == Level::Hint { "?" } else { "" };
        format!("{mark}{} {}", finding.about, finding.code)
    };
    findings(facts).iter().map(code).collect()
}
