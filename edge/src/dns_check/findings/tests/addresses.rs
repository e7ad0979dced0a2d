use std::time::Duration;

use crate::dns_check::{
    facts::{Certificate, ProbeOutcome, Trust},
    findings::{Level, findings},
    testing::{DAY, answer, codes, facts, now, resolver, two_edges},
};

/// The findings if the certificate of the first of two edges is changed.
fn codes_with(change: impl FnOnce(&mut Certificate)) -> Vec<String> {
    let mut facts = two_edges();
    change(facts.addresses[0].certificate.as_mut().unwrap());
    codes(&facts)
}

#[test]
fn unusable_addresses_are_problems() {
    let mut facts = facts(vec![resolver("r", "203.0.113.53", "0.0.0.0 203.0.113.7 203.0.113.8", "")]);
    facts.addresses.retain(|address| address.address.to_string() != "0.0.0.0");
    assert_eq!(codes(&facts), ["0.0.0.0 unusable_address"]);
}

#[test]
fn unusable_address_has_words_of_its_own() {
    for (v4, v6, words) in [
        ("203.0.113.7 203.0.113.8", "::ffff:203.0.113.9", "put 203.0.113.9 into an A record"),
        ("127.0.0.1 203.0.113.7 203.0.113.8", "", "each client would connect to itself"),
        ("169.254.7.7 203.0.113.7 203.0.113.8", "", "link-local"),
    ] {
        let found = findings(&facts(vec![resolver("system", "127.0.0.53", v4, v6)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].code, found[0].level), ("unusable_address", Level::Problem));
        assert!(format!("{} {}", found[0].message, found[0].advice).contains(words), "{found:?}");
    }
}

#[test]
fn address_without_an_edge_is_a_problem() {
    let limit = Duration::from_secs(5);
    for (outcome, code) in [
        (ProbeOutcome::Other { status: 404, server: Some("nginx".to_owned()) }, "not_an_edge"),
        (ProbeOutcome::NotHttp, "not_http"),
        (ProbeOutcome::NoTls("no".to_owned()), "no_tls"),
        (ProbeOutcome::Closed, "closed"),
        (ProbeOutcome::Silent(limit), "silent"),
        (ProbeOutcome::Refused, "refused"),
        (ProbeOutcome::Timeout(limit), "unreachable"),
        (ProbeOutcome::HostUnreachable, "unreachable"),
        (ProbeOutcome::NetworkUnreachable, "unreachable"),
        (ProbeOutcome::Failed("no".to_owned()), "unreachable"),
    ] {
        let mut facts = two_edges();
        facts.addresses[1].http = Some(outcome.clone());
        facts.addresses[1].https = Some(outcome);
        assert_eq!(codes(&facts), [format!("203.0.113.8:80 {code}"), format!("203.0.113.8:443 {code}")]);
    }
}

#[test]
fn unchecked_ipv6_is_a_hint_and_a_problem_only_if_nothing_else_was_checked() {
    let mut facts = facts(vec![resolver("r", "192.168.0.1", "203.0.113.7 203.0.113.8", "2001:db8::7 2001:db8::8")]);
    for address in &mut facts.addresses[2..] {
        (address.http, address.https, address.certificate) =
            (Some(ProbeOutcome::NetworkUnreachable), Some(ProbeOutcome::NetworkUnreachable), None);
    }
    let expected = ["[2001:db8::7]:80", "[2001:db8::7]:443", "[2001:db8::8]:80", "[2001:db8::8]:443"];
    let mut expected: Vec<_> = expected.map(|about| format!("?{about} not_checked")).into();
    assert_eq!(codes(&facts), expected);
    facts.addresses.drain(..2);
    facts.resolvers[0].v4 = answer("");
    expected.splice(0..0, ["no_ipv4", "nothing_checked"].map(|code| format!("www.example.com {code}")));
    assert_eq!(codes(&facts), expected);
}

#[test]
fn unreachable_host_is_a_problem_for_ipv6_too() {
    let mut facts = facts(vec![resolver("r", "192.168.0.1", "203.0.113.7 203.0.113.8", "2001:db8::7 2001:db8::8")]);
    let dead = &mut facts.addresses[2];
    (dead.http, dead.https, dead.certificate) =
        (Some(ProbeOutcome::HostUnreachable), Some(ProbeOutcome::HostUnreachable), None);
    assert_eq!(codes(&facts), ["[2001:db8::7]:80 unreachable", "[2001:db8::7]:443 unreachable"]);
    assert!(findings(&facts)[0].message.contains("the machine is down"));
}

#[test]
fn each_fault_of_a_certificate_is_a_finding() {
    let at = |code: &str| vec![format!("203.0.113.7:443 {code}")];
    assert_eq!(codes_with(|it| it.not_after = now() - DAY), at("certificate_expired"));
    assert_eq!(codes_with(|it| it.not_before = now() + DAY), at("certificate_not_yet_valid"));
    assert_eq!(codes_with(|it| it.matches_name = false), at("certificate_of_another_name"));
    assert_eq!(codes_with(|it| it.trust = Trust::UnknownIssuer), at("certificate_untrusted"));
    assert_eq!(codes_with(|it| it.trust = Trust::Rejected("why".to_owned())), at("certificate_refused"));
    let self_signed = |it: &mut Certificate| (it.trust, it.self_signed) = (Trust::UnknownIssuer, true);
    assert_eq!(codes_with(self_signed), at("certificate_self_signed"));
    // Its names and its issuer are wrong as a consequence, and are not reported.
    let stand_in = |it: &mut Certificate| {
        self_signed(it);
        (it.stand_in, it.matches_name) = (true, false);
    };
    assert_eq!(codes_with(stand_in), at("stand_in_certificate"));
    assert_eq!(codes_with(|it| it.trust = Trust::NoRoots), ["?www.example.com no_roots"]);
    assert_eq!(codes_with(|it| it.not_after = now() + 13 * DAY), ["?203.0.113.7:443 certificate_ends_soon"]);
    assert_eq!(codes_with(|it| it.serial = "02".to_owned()), ["?www.example.com certificates_differ"]);
    let worst = codes_with(|it| (it.not_after, it.matches_name, it.trust) = (now() - DAY, false, Trust::UnknownIssuer));
    assert_eq!(worst.len(), 3, "{worst:?}");
}
