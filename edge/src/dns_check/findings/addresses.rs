//! What addresses said.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use super::finding::{Findings, listed};
use crate::{
    dns_check::{
        date::day,
        facts::{Address, Certificate, Contact, Facts, Resolver, Trust},
    },
    upstream::discovery::AddressSet,
};

/// A certificate that ends sooner is about to be forgotten: whoever renews them by program does so a month
/// before.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What one can do about an address where no edge is.
const START_IT: &str = "see whether the edge runs on that machine, publishes the port there, and its firewall lets \
                        it through; else take the address out of DNS";

pub(super) fn check(facts: &Facts, findings: &mut Findings) {
    let unusable =
        facts.resolvers.iter().flat_map(Resolver::addresses).filter(|address| !AddressSet::is_usable(address));
    for address in unusable.collect::<BTreeSet<_>>() {
        let message = "nobody can connect to this address";
        findings.problem("unusable_address", &address, message, "put the public address of an edge in its place");
    }
    for address in &facts.addresses {
        for (port, contact) in [(facts.ports.http, &address.http), (facts.ports.https, &address.https)] {
            if let (Some(port), Some(contact)) = (port, contact) {
                check_contact(SocketAddr::new(address.address, port), contact, findings);
            }
        }
        if let (Some(port), Some(shown)) = (facts.ports.https, &address.certificate) {
            certificate(&facts.name, facts.now, SocketAddr::new(address.address, port), shown, findings);
        }
    }
    nothing_seen(facts, findings);
    roots(facts, findings);
    certificates_differ(facts, findings);
}

fn check_contact(about: SocketAddr, contact: &Contact, findings: &mut Findings) {
    match contact {
        Contact::Edge => {}
        Contact::Other { status, server } => {
            let server = server.as_ref().map(|server| format!(", {server}")).unwrap_or_default();
            let message = format!("somebody else answers there (status {status}{server})");
            findings.problem("not_an_edge", &about, message, START_IT);
        }
        Contact::NotHttp => findings.problem("not_http", &about, "what answers there is not HTTP", START_IT),
        Contact::NoTls(why) => {
            findings.problem("no_tls", &about, format!("no TLS: {why}"), "let the edge listen there with --listen-tls");
        }
        Contact::Closed => findings.problem("closed", &about, "the connection is closed without an answer", START_IT),
        Contact::Silent(within) => {
            let message = format!("connected, but no answer within {within:?}");
            findings.problem("silent", &about, message, START_IT);
        }
        Contact::Refused => findings.problem("refused", &about, "nobody listens there", START_IT),
        Contact::Timeout(within) => {
            let message = format!("no connection within {within:?}: the machine is down, or a firewall is silent");
            findings.problem("unreachable", &about, message, START_IT);
        }
        Contact::HostUnreachable => {
            let message = "no way leads to the machine: it is down, or a firewall turns us away";
            findings.problem("unreachable", &about, message, START_IT);
        }
        // Many machines have no IPv6 themselves.
        Contact::Unreachable if about.is_ipv6() => {
            let mend = "look from a machine that has IPv6";
            findings.hint("not_checked", &about, "this machine has no way to it, so nothing is known", mend);
        }
        Contact::Unreachable => findings.problem("unreachable", &about, "this machine has no way to it", START_IT),
        Contact::Failed(why) => findings.problem("unreachable", &about, why.clone(), START_IT),
    }
}

/// An address that was not seen says nothing, but all of them say that nothing is known to be well.
fn nothing_seen(facts: &Facts, findings: &mut Findings) {
    let unseen = |address: &Address| {
        let contacts = [&address.http, &address.https];
        contacts.into_iter().flatten().all(|contact| *contact == Contact::Unreachable)
    };
    let all_v6 = facts.addresses.iter().all(|address| address.address.is_ipv6());
    let asked = facts.ports.http.or(facts.ports.https).is_some();
    if asked && !facts.addresses.is_empty() && all_v6 && facts.addresses.iter().all(unseen) {
        let mend = "look from a machine that has IPv6";
        findings.problem("nothing_checked", &facts.name, "none of its addresses can be reached from here", mend);
    }
}

fn certificate(name: &str, now: SystemTime, about: SocketAddr, shown: &Certificate, findings: &mut Findings) {
    if shown.stand_in {
        let mend = "browsers warn about it: give the edge a certificate (--tls-cert-file and --tls-key-file)";
        let message = "the edge shows the self-signed certificate that it makes while it has none";
        return findings.problem("stand_in_certificate", &about, message, mend);
    }
    if now > shown.not_after {
        let message = format!("its certificate has expired on {}", day(shown.not_after));
        findings.problem("certificate_expired", &about, message, "renew it, and see that it is renewed by program");
    } else if now < shown.not_before {
        let message = format!("its certificate is not valid before {}", day(shown.not_before));
        let mend = "see whether the clocks here and where it was issued are right";
        findings.problem("certificate_not_yet_valid", &about, message, mend);
    } else if shown.not_after.duration_since(now).unwrap_or_default() < SOON {
        let message = format!("its certificate ends on {}", day(shown.not_after));
        findings.hint("certificate_ends_soon", &about, message, "renew it now");
    }
    if !shown.fits {
        let names = if shown.names.is_empty() { "no name at all".to_owned() } else { listed(&shown.names) };
        let message = format!("its certificate is for {names}, not for {name}");
        findings.problem("certificate_of_another_name", &about, message, format!("issue one with {name} in it"));
    }
    match &shown.trust {
        Trust::Trusted | Trust::NoRoots => {}
        Trust::UnknownIssuer if shown.self_signed => {
            let mend = "browsers warn about it: let an authority that they know sign it";
            findings.problem("certificate_self_signed", &about, "its certificate is signed by itself", mend);
        }
        Trust::UnknownIssuer => {
            let sent = if shown.chain == 0 { ", and no other certificate is sent with it" } else { "" };
            let message = format!("nobody known has signed its certificate: the issuer is {}{sent}", shown.issuer);
            let mend = "put the whole chain into the certificate file, leaf first; for an authority of your own, name \
                        it with --ca";
            findings.problem("certificate_untrusted", &about, message, mend);
        }
        Trust::Refused(why) => {
            let message = format!("clients refuse its certificate: {why}");
            findings.problem("certificate_refused", &about, message, "have it issued anew");
        }
    }
}

/// Said once, not for each address.
fn roots(facts: &Facts, findings: &mut Findings) {
    let unknown = |address: &&Address| {
        address.certificate.as_ref().is_some_and(|shown| shown.trust == Trust::NoRoots && !shown.stand_in)
    };
    if facts.addresses.iter().any(|address| unknown(&address)) {
        let message = "this machine has no certificates of authorities, so it is not known who is to be trusted";
        findings.hint("no_roots", &facts.name, message, "install ca-certificates here, or name a file with --ca");
    }
}

/// Which certificate an address shows and how long that is valid, if nothing else is to be said about it.
fn good(now: SystemTime, address: &Address) -> Option<(IpAddr, &str, SystemTime)> {
    let shown = address.certificate.as_ref()?;
    let is_good = shown.fits
        && matches!(shown.trust, Trust::Trusted | Trust::NoRoots)
        && !shown.stand_in
        && (shown.not_before..=shown.not_after).contains(&now);
    is_good.then_some((address.address, &shown.serial, shown.not_after))
}

/// Edges of one name that were not all given the newest certificate.
fn certificates_differ(facts: &Facts, findings: &mut Findings) {
    let shown: Vec<_> = facts.addresses.iter().filter_map(|address| good(facts.now, address)).collect();
    let Some((_, newest, _)) = shown.iter().max_by_key(|(_, _, not_after)| *not_after) else { return };
    let older: Vec<_> = shown.iter().filter(|(_, serial, _)| serial != newest).map(|(address, ..)| address).collect();
    if !older.is_empty() {
        let message = format!("not all addresses show the newest certificate: not {}", listed(older));
        let mend = "while certificates are being replaced that is as it should be; else give all edges the same";
        findings.hint("certificates_differ", &facts.name, message, mend);
    }
}
