//! Findings about the answers of name servers.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    finding::{Findings, listed},
    outcomes,
};
use crate::dns_check::{
    facts::{Answer, Facts, QueryOutcome, Resolver},
    suitable,
};

/// The longest good TTL, in seconds. With a longer one, removing a dead machine from DNS helps few clients.
const MAX_TTL: u32 = 300;

pub(super) fn check(facts: &Facts, findings: &mut Findings) {
    for resolver in &facts.resolvers {
        outcomes::check(&facts.name, resolver, findings);
    }
    no_v4(facts, findings);
    differences(facts, findings);
    for resolver in &facts.resolvers {
        ttls(resolver, findings);
        duplicates(resolver, findings);
    }
    for resolver in facts.resolvers.iter().filter(|resolver| is_public(resolver)) {
        for address in suitable::usable(resolver).filter(is_private).collect::<BTreeSet<_>>() {
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

/// Adds a problem if the name has only IPv6 addresses. Failed queries do not count.
fn no_v4(facts: &Facts, findings: &mut Findings) {
    let has_none = |resolver: &Resolver| {
        matches!(resolver.v4.outcome, QueryOutcome::NoRecords | QueryOutcome::NoSuchName)
            && resolver.v6.outcome == QueryOutcome::Records
    };
    let has_some = |resolver: &Resolver| resolver.v4.outcome == QueryOutcome::Records;
    if facts.resolvers.iter().any(has_none) && !facts.resolvers.iter().any(has_some) {
        let message = "no A record: the many clients without IPv6 cannot connect";
        findings.problem("no_ipv4", &facts.name, message, "create an A record for each edge in its zone");
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
    let all: BTreeSet<_> = facts.resolvers.iter().flat_map(suitable::usable).collect();
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
