//! Findings about the answers of name servers.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::finding::{Findings, listed};
use crate::{
    dns_check::facts::{Answer, Facts, QueryOutcome, Resolver},
    upstream::discovery::AddressSet,
};

/// The longest good TTL, in seconds. With a longer one, removing a dead machine from DNS helps few clients.
const MAX_TTL: u32 = 300;

pub(super) fn check(facts: &Facts, findings: &mut Findings) {
    for resolver in &facts.resolvers {
        outcomes(facts, resolver, findings);
    }
    differences(facts, findings);
    for resolver in &facts.resolvers {
        ttls(resolver, findings);
        duplicates(resolver, findings);
    }
    for resolver in facts.resolvers.iter().filter(|resolver| is_public(resolver)) {
        for address in resolver.addresses().filter(is_private).collect::<BTreeSet<_>>() {
            let message = format!("a public name server ({}) returns this private address", resolver.label);
            let advice = "clients elsewhere cannot reach it: remove it from the public zone";
            findings.hint("private_address", &address, message, advice);
        }
    }
    single_addresses(facts, findings);
    if !facts.hosts_file.is_empty() {
        let message = format!("/etc/hosts of this machine lists {}", listed(&facts.hosts_file));
        let advice = "programs on this machine do not use DNS for the name: remove the entry";
        findings.hint("hosts_file", &facts.name, message, advice);
    }
}

/// Adds findings about failed queries and about names without addresses.
fn outcomes(facts: &Facts, resolver: &Resolver, findings: &mut Findings) {
    let (name, about) = (&facts.name, &resolver.label);
    if let (QueryOutcome::NoSuchName, QueryOutcome::NoSuchName | QueryOutcome::NoRecords)
    | (QueryOutcome::NoRecords, QueryOutcome::NoSuchName) = (&resolver.v4.outcome, &resolver.v6.outcome)
    {
        let advice = "create an A record for each edge in its zone; resolvers may cache for a while that the name does \
                      not exist";
        return findings.problem("no_such_name", about, format!("the name {name} does not exist"), advice);
    }
    if let (QueryOutcome::NoRecords, QueryOutcome::NoRecords) = (&resolver.v4.outcome, &resolver.v6.outcome) {
        let message = format!("{name} has no address: neither A nor AAAA records");
        return findings.problem("no_addresses", about, message, "create an A record for each edge in its zone");
    }
    let is_failure = |outcome: &QueryOutcome| describe(outcome).is_some();
    if resolver.v4.outcome == resolver.v6.outcome && is_failure(&resolver.v4.outcome) {
        return failure(about, "", &resolver.v4.outcome, findings);
    }
    for (kind, answer) in [("A: ", &resolver.v4), ("AAAA: ", &resolver.v6)] {
        if is_failure(&answer.outcome) {
            failure(about, kind, &answer.outcome, findings);
        } else if answer.outcome == QueryOutcome::NoSuchName {
            // If the other type has records, the name exists (RFC 4074).
            let message = format!("{kind}the name server responded: NXDOMAIN, but only for this type");
            let advice = "some clients then ignore the other type: report it to the operator of the name server";
            findings.hint("half_a_name", about, message, advice);
        }
    }
}

/// Returns the code, the message and the advice for a failed query.
fn describe(outcome: &QueryOutcome) -> Option<(&'static str, String, &'static str)> {
    Some(match outcome {
        QueryOutcome::Records | QueryOutcome::NoRecords | QueryOutcome::NoSuchName => return None,
        QueryOutcome::ServerFailure => (
            "server_failure",
            "the name server responded: SERVFAIL".to_owned(),
            "check that the name servers of the zone respond, and that its DNSSEC signatures are valid",
        ),
        QueryOutcome::Refused => (
            "refused_by_resolver",
            "the name server responded: REFUSED".to_owned(),
            "query another name server: this one serves only other clients or other zones",
        ),
        QueryOutcome::Code(code) => {
            ("resolver_error", format!("the name server responded: {code}"), "query another name server")
        }
        QueryOutcome::Timeout(limit) => (
            "resolver_timeout",
            format!("no answer within {limit:?}"),
            "check that the name server runs, and that this machine can reach it over UDP and TCP",
        ),
        QueryOutcome::Failed(why) => {
            ("resolver_failed", why.clone(), "check that this is the address of a name server")
        }
    })
}

fn failure(about: &str, kind: &str, outcome: &QueryOutcome, findings: &mut Findings) {
    if let Some((code, message, advice)) = describe(outcome) {
        findings.problem(code, &about, format!("{kind}{message}"), advice);
    }
}

/// Adds a problem for each address that some resolvers return and others do not. Failed queries do not count.
fn differences(facts: &Facts, findings: &mut Findings) {
    let is_answer = |answer: &Answer| {
        matches!(answer.outcome, QueryOutcome::Records | QueryOutcome::NoRecords | QueryOutcome::NoSuchName)
    };
    let families: [fn(&Resolver) -> &Answer; 2] = [|resolver| &resolver.v4, |resolver| &resolver.v6];
    for answer in families {
        let answered: Vec<_> = facts.resolvers.iter().filter(|resolver| is_answer(answer(resolver))).collect();
        let mut returned_by: BTreeMap<IpAddr, Vec<&str>> = BTreeMap::new();
        for resolver in &answered {
            for address in answer(resolver).records.iter().map(|record| record.address).collect::<BTreeSet<_>>() {
                returned_by.entry(address).or_default().push(&resolver.label);
            }
        }
        for (address, labels) in returned_by.iter().filter(|(_, labels)| labels.len() < answered.len()) {
            let others =
                answered.iter().map(|resolver| resolver.label.as_str()).filter(|label| !labels.contains(label));
            let message = format!("returned by {}, but not by {}", listed(labels), listed(others));
            let advice = "after a change, wait for the TTL and check again; if the difference stays, the name servers \
                          of the zone have different records, or their answers depend on the client";
            findings.problem("resolvers_differ", address, message, advice);
        }
    }
}

fn ttls(resolver: &Resolver, findings: &mut Findings) {
    let about = &resolver.label;
    let aliases = resolver.v4.aliases.iter().chain(&resolver.v6.aliases).map(|alias| alias.ttl);
    let records = [&resolver.v4, &resolver.v6].map(|answer| answer.records.iter().map(|record| record.ttl));
    if let Some(longest) = records.iter().cloned().flatten().chain(aliases).max().filter(|ttl| *ttl > MAX_TTL) {
        let message = format!("resolvers may cache the answer for {longest} s");
        let advice = "clients use an address for that long after its removal from DNS: set a TTL of 60 to 300 s";
        findings.hint("long_ttl", about, message, advice);
    }
    for (kind, ttls) in ["A", "AAAA"].into_iter().zip(records) {
        let ttls: BTreeSet<u32> = ttls.collect();
        if ttls.len() > 1 {
            let message = format!("the {kind} records have different TTLs: {} s", listed(ttls));
            let advice = "records of the same name and type must have the same TTL (RFC 2181): make them equal";
            findings.hint("ttls_differ", about, message, advice);
        }
    }
}

fn duplicates(resolver: &Resolver, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    let repeated: BTreeSet<_> = resolver.addresses().filter(|address| !seen.insert(*address)).collect();
    for address in repeated {
        let message = format!("returned more than once by {}", resolver.label);
        findings.hint("duplicate", &address, message, "remove the duplicate record: it adds no redundancy");
    }
}

/// Adds a hint for each address family with a single address: some clients have no other when its machine is down.
fn single_addresses(facts: &Facts, findings: &mut Findings) {
    let all: BTreeSet<_> = facts.resolvers.iter().flat_map(Resolver::addresses).filter(AddressSet::is_usable).collect();
    for (kind, is_kind) in [("A", IpAddr::is_ipv4 as fn(&IpAddr) -> bool), ("AAAA", IpAddr::is_ipv6)] {
        let mut of_kind = all.iter().filter(|address| is_kind(address));
        if let (Some(only), None) = (of_kind.next(), of_kind.next()) {
            let message = format!("the only {kind} record of {}", facts.name);
            // Clients with both families try the other one.
            let clients = match (all.len(), kind) {
                (1, _) => "clients",
                (_, "A") => "clients with only IPv4",
                _ => "clients with only IPv6",
            };
            let advice =
                format!("when its machine is down, {clients} have no other address: add a record for each edge");
            findings.hint("one_address", only, message, advice);
        }
    }
}

/// Whether one of its name servers has a public address.
fn is_public(resolver: &Resolver) -> bool {
    resolver.servers.iter().any(|server| !is_private(&server.ip()))
}

/// Whether an address means something else, or nothing, in other networks.
fn is_private(address: &IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || is_shared
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}
