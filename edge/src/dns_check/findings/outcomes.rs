//! Findings about failed queries, and about names without addresses.

use super::finding::Findings;
use crate::dns_check::facts::{Alias, QueryOutcome, Resolver};

const CREATE: &str = "create an A record for each edge in its zone";

pub(super) fn check(name: &str, resolver: &Resolver, findings: &mut Findings) {
    let about = &resolver.label;
    let alias = resolver.v4.aliases.last().or(resolver.v6.aliases.last());
    let outcomes = [&resolver.v4.outcome, &resolver.v6.outcome];
    // If one type has records, the name exists (RFC 4074).
    let exists = outcomes.contains(&&QueryOutcome::Records);
    if !exists && outcomes.contains(&&QueryOutcome::NoSuchName) {
        no_such_name(name, about, alias, findings);
    }
    if let (QueryOutcome::NoRecords, QueryOutcome::NoRecords) = (&resolver.v4.outcome, &resolver.v6.outcome) {
        let (message, advice) = match alias {
            None => (format!("{name} has no address: neither A nor AAAA records"), CREATE.to_owned()),
            Some(Alias { target, .. }) => (
                format!("{name} is an alias of {target}, which has no address: neither A nor AAAA records"),
                format!("correct the CNAME record, or create an A record of {target} for each edge"),
            ),
        };
        return findings.problem("no_addresses", about, message, advice);
    }
    if resolver.v4.outcome == resolver.v6.outcome && is_failure(&resolver.v4.outcome) {
        return failure(about, "", &resolver.v4.outcome, alias, findings);
    }
    for (kind, answer) in [("A: ", &resolver.v4), ("AAAA: ", &resolver.v6)] {
        if is_failure(&answer.outcome) {
            failure(about, kind, &answer.outcome, answer.aliases.last(), findings);
        } else if exists && answer.outcome == QueryOutcome::NoSuchName {
            let message = format!("{kind}the name server responded: NXDOMAIN, but only for this type");
            let advice = "some clients then ignore the other type: report it to the operator of the name server";
            findings.hint("half_a_name", about, message, advice);
        }
    }
}

fn no_such_name(name: &str, about: &str, alias: Option<&Alias>, findings: &mut Findings) {
    if let Some(Alias { name: from, target, .. }) = alias {
        let message = format!("{name} is an alias of {target}, which does not exist");
        let advice = format!(
            "correct the CNAME record of {from}, or create {target}: whoever registers a free name receives your \
             visitors"
        );
        return findings.problem("dangling_alias", &about, message, advice);
    }
    let advice = format!("{CREATE}; resolvers may cache for a while that the name does not exist");
    findings.problem("no_such_name", &about, format!("the name {name} does not exist"), advice);
}

const fn is_failure(outcome: &QueryOutcome) -> bool {
    !matches!(outcome, QueryOutcome::Records | QueryOutcome::NoRecords | QueryOutcome::NoSuchName)
}

/// Adds the finding about a failed query. `alias` is the last one before the failure.
fn failure(about: &str, kind: &str, outcome: &QueryOutcome, alias: Option<&Alias>, findings: &mut Findings) {
    let (code, message, advice) = match (outcome, alias) {
        (QueryOutcome::Records | QueryOutcome::NoRecords | QueryOutcome::NoSuchName, _) => return,
        (QueryOutcome::Refused | QueryOutcome::Referral(_), Some(Alias { name, target, .. })) => (
            "alias_not_served",
            format!("{name} is an alias of {target}, about which this name server does not answer"),
            "query a resolver, such as 1.1.1.1: this name server answers only for its own zones",
        ),
        (QueryOutcome::ServerFailure, _) => (
            "server_failure",
            "the name server responded: SERVFAIL".to_owned(),
            "check that the name servers of the zone respond, and that its DNSSEC signatures are valid",
        ),
        (QueryOutcome::Refused, None) => (
            "refused_by_resolver",
            "the name server responded: REFUSED".to_owned(),
            "query another name server: this one serves only other clients or other zones",
        ),
        (QueryOutcome::Code(code), _) => {
            ("resolver_error", format!("the name server responded: {code}"), "query another name server")
        }
        (QueryOutcome::Referral(zone), None) => (
            "referral",
            format!("no answer, but a referral to the name servers of {zone}"),
            "query one of those, or a resolver such as 1.1.1.1: this name server answers only for its own zones",
        ),
        (QueryOutcome::AliasLoop, _) => (
            "alias_loop",
            "its aliases form a loop, or a chain that clients do not follow to its end".to_owned(),
            "correct the CNAME records, ideally to a single one that leads to the name with the addresses",
        ),
        (QueryOutcome::Truncated(why), _) => (
            "tcp_blocked",
            format!("the answer is too long for UDP, and TCP failed: {why}"),
            "let the name server answer over TCP on the same port, and open it in firewalls (RFC 7766): clients with \
             the same problem find no address",
        ),
        (QueryOutcome::Closed, _) => (
            "resolver_closed",
            "no program listens on this port".to_owned(),
            "check that the name server runs, and that its address and port are right",
        ),
        (QueryOutcome::Timeout(limit), _) => (
            "resolver_timeout",
            format!("no answer within {limit:?}"),
            "check that the name server runs, and that this machine can reach it over UDP and TCP",
        ),
        (QueryOutcome::Failed(why), _) => {
            ("resolver_failed", why.clone(), "check that this is the address of a name server")
        }
    };
    findings.problem(code, &about, format!("{kind}{message}"), advice);
}
