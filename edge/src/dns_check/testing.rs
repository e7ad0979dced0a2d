//! Facts for tests of findings and of the report.

use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use super::{
    facts::{Address, Answer, Certificate, Contact, Facts, Outcome, Ports, Record, Resolver, Trust},
    findings::{Finding, Level, findings},
};

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The middle of the life of every good certificate here.
pub(super) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

/// An answer: addresses with their TTL behind a slash, or how it failed.
pub(super) fn answer(text: &str) -> Answer {
    match text {
        "" => Answer::empty(Outcome::NoRecords),
        "nx" => Answer::empty(Outcome::NoSuchName),
        "fail" => Answer::empty(Outcome::ServerFailure),
        "late" => Answer::empty(Outcome::Timeout(Duration::from_secs(5))),
        "refused" => Answer::empty(Outcome::Refused),
        addresses => {
            let record = |text: &str| {
                let (address, ttl) = text.split_once('/').unwrap_or((text, "60"));
                Record { address: address.parse().unwrap(), ttl: ttl.parse().unwrap() }
            };
            let records = addresses.split_whitespace().map(record).collect();
            Answer { outcome: Outcome::Records, aliases: Vec::new(), records }
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
        chain: 1,
        fits: true,
        trust: Trust::Trusted,
    }
}

pub(super) fn edge(address: &str) -> Address {
    Address {
        address: address.parse().unwrap(),
        http: Some(Contact::Edge),
        https: Some(Contact::Edge),
        certificate: Some(certificate()),
    }
}

/// What is seen when every address is a good edge.
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

/// Two good edges that one resolver knows.
pub(super) fn two() -> Facts {
    facts(vec![resolver("system", "192.168.0.1", "203.0.113.7 203.0.113.8", "")])
}

/// Codes with what they are about; hints with a `?` in front.
pub(super) fn found(facts: &Facts) -> Vec<String> {
    let text = |finding: &Finding| {
        let mark = if finding.level == Level::Hint { "?" } else { "" };
        format!("{mark}{} {}", finding.about, finding.code)
    };
    findings(facts).iter().map(text).collect()
}
