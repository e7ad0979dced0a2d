use std::time::Duration;

use crate::dns_check::{
    facts::{Certificate, Contact, Trust},
    findings::findings,
    testing::{DAY, answer, facts, found, now, resolver, two},
};

/// What is found when the first of two edges has this certificate.
fn shown(change: impl FnOnce(&mut Certificate)) -> Vec<String> {
    let mut facts = two();
    change(facts.addresses[0].certificate.as_mut().unwrap());
    found(&facts)
}

#[test]
fn addresses_that_nobody_can_connect_to_are_problems_and_are_not_asked() {
    let mut facts = facts(vec![resolver("r", "203.0.113.53", "0.0.0.0 203.0.113.7 203.0.113.8", "")]);
    facts.addresses.retain(|address| address.address.to_string() != "0.0.0.0");
    assert_eq!(found(&facts), ["0.0.0.0 unusable_address", "?0.0.0.0 private_address"]);
}

#[test]
fn whoever_else_answers_is_a_problem() {
    let limit = Duration::from_secs(5);
    for (contact, code) in [
        (Contact::Other { status: 404, server: Some("nginx".to_owned()) }, "not_an_edge"),
        (Contact::NotHttp, "not_http"),
        (Contact::NoTls("no".to_owned()), "no_tls"),
        (Contact::Closed, "closed"),
        (Contact::Silent(limit), "silent"),
        (Contact::Refused, "refused"),
        (Contact::Timeout(limit), "unreachable"),
        (Contact::HostUnreachable, "unreachable"),
        (Contact::Unreachable, "unreachable"),
        (Contact::Failed("no".to_owned()), "unreachable"),
    ] {
        let mut facts = two();
        facts.addresses[1].http = Some(contact.clone());
        facts.addresses[1].https = Some(contact);
        assert_eq!(found(&facts), [format!("203.0.113.8:80 {code}"), format!("203.0.113.8:443 {code}")]);
    }
}

#[test]
fn ipv6_that_this_machine_does_not_have_says_nothing_unless_there_is_nothing_else() {
    let mut facts = facts(vec![resolver("r", "192.168.0.1", "203.0.113.7 203.0.113.8", "2001:db8::7 2001:db8::8")]);
    for address in &mut facts.addresses[2..] {
        (address.http, address.https, address.certificate) =
            (Some(Contact::Unreachable), Some(Contact::Unreachable), None);
    }
    let expected = ["[2001:db8::7]:80", "[2001:db8::7]:443", "[2001:db8::8]:80", "[2001:db8::8]:443"];
    let mut expected: Vec<_> = expected.map(|about| format!("?{about} not_checked")).into();
    assert_eq!(found(&facts), expected);
    facts.addresses.drain(..2);
    facts.resolvers[0].v4 = answer("");
    expected.insert(0, "www.example.com nothing_checked".to_owned());
    assert_eq!(found(&facts), expected);
}

#[test]
fn an_ipv6_machine_that_is_down_is_a_problem_although_ipv4_is_well() {
    let mut facts = facts(vec![resolver("r", "192.168.0.1", "203.0.113.7 203.0.113.8", "2001:db8::7 2001:db8::8")]);
    let dead = &mut facts.addresses[2];
    (dead.http, dead.https, dead.certificate) = (Some(Contact::HostUnreachable), Some(Contact::HostUnreachable), None);
    assert_eq!(found(&facts), ["[2001:db8::7]:80 unreachable", "[2001:db8::7]:443 unreachable"]);
    assert!(findings(&facts)[0].message.contains("it is down"));
}

#[test]
fn all_that_is_wrong_with_a_certificate_is_told() {
    let at = |code: &str| vec![format!("203.0.113.7:443 {code}")];
    assert_eq!(shown(|it| it.not_after = now() - DAY), at("certificate_expired"));
    assert_eq!(shown(|it| it.not_before = now() + DAY), at("certificate_not_yet_valid"));
    assert_eq!(shown(|it| it.fits = false), at("certificate_of_another_name"));
    assert_eq!(shown(|it| it.trust = Trust::UnknownIssuer), at("certificate_untrusted"));
    assert_eq!(shown(|it| it.trust = Trust::Refused("why".to_owned())), at("certificate_refused"));
    let self_signed = |it: &mut Certificate| (it.trust, it.self_signed) = (Trust::UnknownIssuer, true);
    assert_eq!(shown(self_signed), at("certificate_self_signed"));
    // Its names and its issuer follow from what it is.
    let stand_in = |it: &mut Certificate| {
        self_signed(it);
        (it.stand_in, it.fits) = (true, false);
    };
    assert_eq!(shown(stand_in), at("stand_in_certificate"));
    assert_eq!(shown(|it| it.trust = Trust::NoRoots), ["?www.example.com no_roots"]);
    assert_eq!(shown(|it| it.not_after = now() + 13 * DAY), ["?203.0.113.7:443 certificate_ends_soon"]);
    assert_eq!(shown(|it| it.serial = "02".to_owned()), ["?www.example.com certificates_differ"]);
    let worst = shown(|it| (it.not_after, it.fits, it.trust) = (now() - DAY, false, Trust::UnknownIssuer));
    assert_eq!(worst.len(), 3, "{worst:?}");
}
