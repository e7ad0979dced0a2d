//! What name servers said.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::finding::{Findings, listed};
use crate::{
    dns_check::facts::{Answer, Facts, Outcome, Resolver},
    upstream::discovery::AddressSet,
};

/// Seconds after which a change is everywhere. With more, taking a dead machine out of DNS helps few.
const LONG: u32 = 300;

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
            let message = format!("{address} is for private networks, and {} tells it to the world", resolver.label);
            findings.hint(
                "private_address",
                &address,
                message,
                "nobody outside gets there: take it out of the public zone",
            );
        }
    }
    few(facts, findings);
    if !facts.hosts_file.is_empty() {
        let message = format!("/etc/hosts of this machine has {} for it", listed(&facts.hosts_file));
        findings.hint("hosts_file", &facts.name, message, "programs here do not see what DNS says: take the line out");
    }
}

/// Answers that are none, and halves of answers.
fn outcomes(facts: &Facts, resolver: &Resolver, findings: &mut Findings) {
    let (name, about) = (&facts.name, &resolver.label);
    if let (Outcome::NoSuchName, Outcome::NoSuchName | Outcome::NoRecords) | (Outcome::NoRecords, Outcome::NoSuchName) =
        (&resolver.v4.outcome, &resolver.v6.outcome)
    {
        let mend = "create an A record for each edge where the zone is kept; a name that was asked for before it was \
                    created stays unknown for a while";
        return findings.problem("no_such_name", about, format!("there is no name {name}"), mend);
    }
    if let (Outcome::NoRecords, Outcome::NoRecords) = (&resolver.v4.outcome, &resolver.v6.outcome) {
        let mend = "create an A record for each edge where the zone is kept";
        return findings.problem("no_addresses", about, format!("{name} has no address, neither A nor AAAA"), mend);
    }
    let failed = |outcome: &Outcome| failure(outcome).is_some();
    if resolver.v4.outcome == resolver.v6.outcome && failed(&resolver.v4.outcome) {
        return fail(about, "", &resolver.v4.outcome, findings);
    }
    for (kind, answer) in [("A: ", &resolver.v4), ("AAAA: ", &resolver.v6)] {
        if failed(&answer.outcome) {
            fail(about, kind, &answer.outcome, findings);
        } else if answer.outcome == Outcome::NoSuchName {
            // The other half has records, so the name exists (RFC 4074).
            let message = format!("{kind}says that there is no such name, though it has addresses of the other kind");
            findings.hint(
                "half_a_name",
                about,
                message,
                "some clients give up on it: tell whoever runs the name server",
            );
        }
    }
}

/// Code, message and mend of an answer that is none.
fn failure(outcome: &Outcome) -> Option<(&'static str, String, &'static str)> {
    Some(match outcome {
        Outcome::Records | Outcome::NoRecords | Outcome::NoSuchName => return None,
        Outcome::ServerFailure => (
            "server_failure",
            "SERVFAIL: the name server cannot find out".to_owned(),
            "see whether the name servers of the zone answer, and whether its DNSSEC signatures are valid",
        ),
        Outcome::Refused => (
            "refused_by_resolver",
            "REFUSED: the name server does not answer us".to_owned(),
            "ask one that does: this one serves other clients or other zones",
        ),
        Outcome::Code(code) => ("resolver_error", format!("the name server says: {code}"), "ask another name server"),
        Outcome::Timeout(within) => (
            "resolver_timeout",
            format!("no answer within {within:?}"),
            "see whether it runs, and whether port 53 is open from here, over UDP and TCP",
        ),
        Outcome::Failed(why) => ("resolver_failed", why.clone(), "see whether this is the address of a name server"),
    })
}

fn fail(about: &str, kind: &str, outcome: &Outcome, findings: &mut Findings) {
    if let Some((code, message, mend)) = failure(outcome) {
        findings.problem(code, &about, format!("{kind}{message}"), mend);
    }
}

/// Addresses that some give and others do not. Who could not answer says nothing about them.
fn differences(facts: &Facts, findings: &mut Findings) {
    let answered =
        |answer: &Answer| matches!(answer.outcome, Outcome::Records | Outcome::NoRecords | Outcome::NoSuchName);
    let halves: [fn(&Resolver) -> &Answer; 2] = [|resolver| &resolver.v4, |resolver| &resolver.v6];
    for half in halves {
        let said: Vec<_> = facts.resolvers.iter().filter(|resolver| answered(half(resolver))).collect();
        let mut givers: BTreeMap<IpAddr, Vec<&str>> = BTreeMap::new();
        for resolver in &said {
            for address in half(resolver).records.iter().map(|record| record.address).collect::<BTreeSet<_>>() {
                givers.entry(address).or_default().push(&resolver.label);
            }
        }
        for (address, givers) in givers.iter().filter(|(_, givers)| givers.len() < said.len()) {
            let others = said.iter().map(|resolver| resolver.label.as_str()).filter(|label| !givers.contains(label));
            let message = format!("{} gives it, {} does not", listed(givers), listed(others));
            let mend = "after a change, wait until the TTL is over and look again; if it stays, the name servers of the \
                        zone do not have the same records, or tell each client something else";
            findings.problem("resolvers_differ", address, message, mend);
        }
    }
}

fn ttls(resolver: &Resolver, findings: &mut Findings) {
    let about = &resolver.label;
    let aliases = resolver.v4.aliases.iter().chain(&resolver.v6.aliases).map(|alias| alias.ttl);
    let records = [&resolver.v4, &resolver.v6].map(|answer| answer.records.iter().map(|record| record.ttl));
    if let Some(longest) = records.iter().cloned().flatten().chain(aliases).max().filter(|ttl| *ttl > LONG) {
        let message = format!("the answer may be kept for {longest} s");
        let mend = "an address that is taken out of DNS is used for that long: set a TTL of 60 to 300 s";
        findings.hint("long_ttl", about, message, mend);
    }
    for (kind, ttls) in ["A", "AAAA"].into_iter().zip(records) {
        let ttls: BTreeSet<u32> = ttls.collect();
        if ttls.len() > 1 {
            let message = format!("the {kind} records have different TTLs: {} s", listed(ttls));
            findings.hint(
                "ttls_differ",
                about,
                message,
                "records of one name and type have one TTL (RFC 2181): set them alike",
            );
        }
    }
}

fn duplicates(resolver: &Resolver, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    let repeated: BTreeSet<_> = resolver.addresses().filter(|address| !seen.insert(*address)).collect();
    for address in repeated {
        let message = format!("{} gives it more than once", resolver.label);
        findings.hint("duplicate", &address, message, "take the second record out: it is no second machine");
    }
}

/// Nowhere to go when a machine dies.
fn few(facts: &Facts, findings: &mut Findings) {
    let all: BTreeSet<_> = facts.resolvers.iter().flat_map(Resolver::addresses).filter(AddressSet::is_usable).collect();
    for (kind, is_kind) in [("A", IpAddr::is_ipv4 as fn(&IpAddr) -> bool), ("AAAA", IpAddr::is_ipv6)] {
        let mut of_kind = all.iter().filter(|address| is_kind(address));
        if let (Some(only), None) = (of_kind.next(), of_kind.next()) {
            let message = format!("it is the only {kind} record of {}", facts.name);
            // Whoever speaks both goes on with the other kind.
            let clients = match (all.len(), kind) {
                (1, _) => "clients",
                (_, "A") => "clients with IPv4 alone",
                _ => "clients with IPv6 alone",
            };
            let mend =
                format!("when its machine is down, {clients} have nowhere else to go: add a record for each edge");
            findings.hint("one_address", only, message, mend);
        }
    }
}

/// Whether the world can ask it.
fn is_public(resolver: &Resolver) -> bool {
    resolver.servers.iter().any(|server| !is_private(&server.ip()))
}

/// Addresses that mean something else, or nothing, elsewhere.
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
