//! Findings about addresses: what responds there, and its certificate.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use super::finding::{Findings, listed};
use crate::dns_check::{
    date::day,
    facts::{Address, Certificate, Facts, ProbeOutcome, Resolver, Trust},
    suitable::{self, Unsuitable},
};

/// The remaining validity below which a renewal is overdue: automatic renewal happens about a month before the end.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// The advice for an address where no edge responds.
const CHECK_EDGE: &str = "check that the edge runs on that machine, publishes this port, and is not blocked by a \
                          firewall; otherwise remove the address from DNS";

pub(super) fn check(facts: &Facts, findings: &mut Findings) {
    let unsuitable = |resolver| {
        Resolver::addresses(resolver)
            .filter_map(move |address| suitable::unsuitable(resolver, &address).map(|why| (address, why)))
    };
    for (address, why) in facts.resolvers.iter().flat_map(unsuitable).collect::<BTreeMap<_, _>>() {
        unusable(address, why, findings);
    }
    for address in &facts.addresses {
        for (port, outcome) in [(facts.ports.http, &address.http), (facts.ports.https, &address.https)] {
            if let (Some(port), Some(outcome)) = (port, outcome) {
                probe(SocketAddr::new(address.address, port), outcome, findings);
            }
        }
        if let (Some(port), Some(presented)) = (facts.ports.https, &address.certificate) {
            certificate(&facts.name, facts.now, SocketAddr::new(address.address, port), presented, findings);
        }
    }
    nothing_checked(facts, findings);
    no_roots(facts, findings);
    certificates_differ(facts, findings);
}

fn unusable(address: IpAddr, why: Unsuitable, findings: &mut Findings) {
    let replace = "replace it with the public address of an edge";
    let (message, advice) = match why {
        Unsuitable::Mapped(v4) => (
            "an IPv4 address in an AAAA record: clients do not connect to it",
            format!("put {v4} into an A record, and remove this one"),
        ),
        Unsuitable::Loopback => ("each client would connect to itself", replace.to_owned()),
        Unsuitable::LinkLocal => {
            ("a link-local address, which only machines on the same network reach", replace.to_owned())
        }
        Unsuitable::NoMachine => ("clients cannot connect to this address", replace.to_owned()),
    };
    findings.problem("unusable_address", &address, message, advice);
}

fn probe(about: SocketAddr, outcome: &ProbeOutcome, findings: &mut Findings) {
    match outcome {
        ProbeOutcome::Edge => {}
        ProbeOutcome::Other { status, server } => {
            let server = server.as_ref().map(|server| format!(", {server}")).unwrap_or_default();
            let message = format!("another program responded (status {status}{server})");
            findings.problem("not_an_edge", &about, message, CHECK_EDGE);
        }
        ProbeOutcome::NotHttp => findings.problem("not_http", &about, "the response is not HTTP", CHECK_EDGE),
        ProbeOutcome::NoTls(why) => {
            let advice = "let the edge listen there with --listen-tls";
            findings.problem("no_tls", &about, format!("the TLS handshake failed: {why}"), advice);
        }
        ProbeOutcome::Closed => {
            findings.problem("closed", &about, "the connection was closed without a response", CHECK_EDGE);
        }
        ProbeOutcome::Silent(limit) => {
            let message = format!("connected, but no response within {limit:?}");
            findings.problem("silent", &about, message, CHECK_EDGE);
        }
        ProbeOutcome::Refused => {
            findings.problem("refused", &about, "connection refused: no program listens on this port", CHECK_EDGE);
        }
        ProbeOutcome::Timeout(limit) => {
            let message =
                format!("no connection within {limit:?}: the machine is down, or a firewall drops the packets");
            findings.problem("unreachable", &about, message, CHECK_EDGE);
        }
        ProbeOutcome::HostUnreachable => {
            let message = "host unreachable: the machine is down, or a firewall rejects the connection";
            findings.problem("unreachable", &about, message, CHECK_EDGE);
        }
        // Many machines have no IPv6 themselves.
        ProbeOutcome::NetworkUnreachable if about.is_ipv6() => {
            let message = "not checked: this machine has no route to it";
            findings.hint("not_checked", &about, message, "run the check on a machine with IPv6");
        }
        ProbeOutcome::NetworkUnreachable => {
            findings.problem("unreachable", &about, "this machine has no route to it", CHECK_EDGE);
        }
        ProbeOutcome::Failed(why) => findings.problem("unreachable", &about, why.clone(), CHECK_EDGE),
    }
}

/// Adds a problem if no address could be checked. A few unchecked ones are only a hint each.
fn nothing_checked(facts: &Facts, findings: &mut Findings) {
    let is_unchecked = |address: &Address| {
        let outcomes = [&address.http, &address.https];
        outcomes.into_iter().flatten().all(|outcome| *outcome == ProbeOutcome::NetworkUnreachable)
    };
    let all_v6 = facts.addresses.iter().all(|address| address.address.is_ipv6());
    let probed = facts.ports.http.or(facts.ports.https).is_some();
    if probed && !facts.addresses.is_empty() && all_v6 && facts.addresses.iter().all(is_unchecked) {
        let advice = "run the check on a machine with IPv6";
        findings.problem("nothing_checked", &facts.name, "this machine has no route to any of its addresses", advice);
    }
}

fn certificate(name: &str, now: SystemTime, about: SocketAddr, presented: &Certificate, findings: &mut Findings) {
    if presented.stand_in {
        let message = "the edge presents the self-signed certificate that it generates when it has no other";
        let advice = "browsers warn about it: configure a certificate (--tls-cert-file and --tls-key-file)";
        // Its issuer and its names are wrong as a consequence.
        return findings.problem("stand_in_certificate", &about, message, advice);
    }
    if now > presented.not_after {
        let message = format!("its certificate expired on {}", day(presented.not_after));
        findings.problem("certificate_expired", &about, message, "renew it, and make sure that renewal is automatic");
    } else if now < presented.not_before {
        let message = format!("its certificate is not valid before {}", day(presented.not_before));
        let advice = "check the clock of this machine and the clock of the issuer";
        findings.problem("certificate_not_yet_valid", &about, message, advice);
    } else if presented.not_after.duration_since(now).unwrap_or_default() < EXPIRES_SOON {
        let message = format!("its certificate expires on {}", day(presented.not_after));
        findings.hint("certificate_ends_soon", &about, message, "renew it now");
    }
    if !presented.matches_name {
        let names = if presented.names.is_empty() { "no name".to_owned() } else { listed(&presented.names) };
        let message = format!("its certificate is for {names}, not for {name}");
        findings.problem("certificate_of_another_name", &about, message, format!("issue one that includes {name}"));
    }
    match &presented.trust {
        Trust::Trusted | Trust::NoRoots => {}
        Trust::UnknownIssuer if presented.self_signed => {
            let advice = "browsers warn about it: get one from an authority that they trust";
            findings.problem("certificate_self_signed", &about, "its certificate is self-signed", advice);
        }
        Trust::UnknownIssuer => {
            let sent = if presented.intermediates == 0 { ", and no intermediate certificate was sent" } else { "" };
            let message = format!("the issuer of its certificate is unknown: {}{sent}", presented.issuer);
            let advice = "put the whole chain into the certificate file, leaf first; for an authority of your own, \
                          pass its certificate with --ca";
            findings.problem("certificate_untrusted", &about, message, advice);
        }
        Trust::Rejected(why) => {
            let message = format!("clients reject its certificate: {why}");
            findings.problem("certificate_refused", &about, message, "have it reissued");
        }
    }
}

/// Adds one hint, not one for each address, if issuers could not be checked.
fn no_roots(facts: &Facts, findings: &mut Findings) {
    let is_unknown = |address: &Address| {
        address.certificate.as_ref().is_some_and(|presented| presented.trust == Trust::NoRoots && !presented.stand_in)
    };
    if facts.addresses.iter().any(is_unknown) {
        let message = "this machine has no root certificates, so the issuers of certificates were not checked";
        findings.hint("no_roots", &facts.name, message, "install ca-certificates here, or pass a file with --ca");
    }
}

/// The address, serial number and end of validity of a certificate without other findings.
fn good(now: SystemTime, address: &Address) -> Option<(IpAddr, &str, SystemTime)> {
    let presented = address.certificate.as_ref()?;
    let is_good = presented.matches_name
        && matches!(presented.trust, Trust::Trusted | Trust::NoRoots)
        && !presented.stand_in
        && (presented.not_before..=presented.not_after).contains(&now);
    is_good.then_some((address.address, &presented.serial, presented.not_after))
}

/// Adds a hint if some edges did not receive the newest certificate.
fn certificates_differ(facts: &Facts, findings: &mut Findings) {
    let good: Vec<_> = facts.addresses.iter().filter_map(|address| good(facts.now, address)).collect();
    let Some((_, newest, _)) = good.iter().max_by_key(|(_, _, not_after)| *not_after) else { return };
    let older: Vec<_> = good.iter().filter(|(_, serial, _)| serial != newest).map(|(address, ..)| address).collect();
    if !older.is_empty() {
        let message = format!("these addresses do not present the newest certificate: {}", listed(older));
        let advice = "this is normal while certificates are being replaced; otherwise give all edges the same one";
        findings.hint("certificates_differ", &facts.name, message, advice);
    }
}
