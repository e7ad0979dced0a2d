use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

use proptest::prelude::*;

use super::*;
use crate::dns_check::{
    facts::{Address, Alias, Answer, Certificate, Contact, Outcome, Ports, Record, Resolver, Trust},
    report::Report,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The middle of the life of every good certificate here.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + 20_000 * DAY
}

/// An answer: addresses with their TTL behind a slash, or how it failed.
fn answer(text: &str) -> Answer {
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

fn resolver(label: &str, server: &str, v4: &str, v6: &str) -> Resolver {
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

fn edge(address: &str) -> Address {
    Address {
        address: address.parse().unwrap(),
        http: Some(Contact::Edge),
        https: Some(Contact::Edge),
        certificate: Some(certificate()),
    }
}

/// What is seen when every address is a good edge.
fn facts(resolvers: Vec<Resolver>) -> Facts {
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
fn two() -> Facts {
    facts(vec![resolver("system", "192.168.0.1", "203.0.113.7 203.0.113.8", "")])
}

/// Codes with what they are about; hints with a `?` in front.
fn found(facts: &Facts) -> Vec<String> {
    let text = |finding: &Finding| {
        let mark = if finding.level == Level::Hint { "?" } else { "" };
        format!("{mark}{} {}", finding.about, finding.code)
    };
    findings(facts).iter().map(text).collect()
}

/// What is found when one resolver says this.
fn said(v4: &str, v6: &str) -> Vec<String> {
    found(&facts(vec![resolver("r", "192.168.0.1", v4, v6)]))
}

/// What is found when the first of two edges has this certificate.
fn shown(change: impl FnOnce(&mut Certificate)) -> Vec<String> {
    let mut facts = two();
    change(facts.addresses[0].certificate.as_mut().unwrap());
    found(&facts)
}

#[test]
fn two_edges_that_everybody_knows_are_well() {
    assert_eq!(found(&two()), [""; 0]);
}

#[test]
fn answers_that_are_none_are_told_apart() {
    for (v4, v6, expected) in [
        ("nx", "nx", "r no_such_name"),
        ("nx", "", "r no_such_name"),
        ("", "", "r no_addresses"),
        ("fail", "fail", "r server_failure"),
        ("late", "late", "r resolver_timeout"),
        ("refused", "refused", "r refused_by_resolver"),
        ("203.0.113.7 203.0.113.8", "fail", "r server_failure"),
        ("203.0.113.7 203.0.113.8", "nx", "?r half_a_name"),
        ("nx", "2001:db8::7 2001:db8::8", "?r half_a_name"),
        ("", "late", "r resolver_timeout"),
    ] {
        assert_eq!(said(v4, v6), [expected], "A {v4:?}, AAAA {v6:?}");
    }
    assert_eq!(said("fail", "late"), ["r server_failure", "r resolver_timeout"]);
}

#[test]
fn an_address_that_not_all_give_is_told_and_who_cannot_answer_does_not_count() {
    let first = || resolver("a", "192.168.0.1", "203.0.113.7 203.0.113.8", "");
    let with = |other: &str| found(&facts(vec![first(), resolver("b", "192.168.0.2", other, "")]));
    assert_eq!(with("203.0.113.8 203.0.113.7"), [""; 0], "the order is nothing");
    assert_eq!(with("203.0.113.7/30 203.0.113.8/30"), [""; 0], "a TTL counts down");
    assert_eq!(with("203.0.113.8"), ["203.0.113.7 resolvers_differ"]);
    assert_eq!(
        with("203.0.113.9"),
        ["203.0.113.7", "203.0.113.8", "203.0.113.9"].map(|a| format!("{a} resolvers_differ"))
    );
    assert_eq!(with("fail"), ["b server_failure"]);
    let three = found(&facts(vec![first(), first(), resolver("b", "192.168.0.2", "nx", "nx")]));
    assert_eq!(three, ["b no_such_name", "203.0.113.7 resolvers_differ", "203.0.113.8 resolvers_differ"]);
}

#[test]
fn hints_are_about_what_makes_an_outage_long() {
    for (v4, v6, expected) in [
        ("203.0.113.7 203.0.113.8", "2001:db8::7", "?2001:db8::7 one_address"),
        ("203.0.113.7", "2001:db8::7 2001:db8::8", "?203.0.113.7 one_address"),
        ("203.0.113.7/301 203.0.113.8/301", "", "?r long_ttl"),
        ("203.0.113.7/60 203.0.113.8/61", "", "?r ttls_differ"),
        ("203.0.113.7 203.0.113.7 203.0.113.8", "", "?203.0.113.7 duplicate"),
    ] {
        assert_eq!(said(v4, v6), [expected], "A {v4:?}, AAAA {v6:?}");
    }
    assert_eq!(said("203.0.113.7/300 203.0.113.8/300", ""), [""; 0]);
    assert_eq!(said("203.0.113.7/60 203.0.113.8/60", "2001:db8::7/90 2001:db8::8/90"), [""; 0], "of one type");
    let mut aliased = two();
    let alias = Alias { name: "www.example.com".to_owned(), target: "a.example".to_owned(), ttl: 86_400 };
    aliased.resolvers[0].v4.aliases.push(alias);
    assert_eq!(found(&aliased), ["?system long_ttl"]);
    let hosts_file = vec!["127.0.0.1".parse().unwrap()];
    assert_eq!(found(&Facts { hosts_file, ..two() }), ["?www.example.com hosts_file"]);
}

#[test]
fn a_private_address_is_wrong_only_where_everybody_is_told_it() {
    let (private, shared) = ("10.0.0.1 203.0.113.8", "100.64.0.1 203.0.113.8");
    assert_eq!(found(&facts(vec![resolver("r", "127.0.0.11", private, "")])), [""; 0]);
    for addresses in [private, shared, "127.0.0.1 203.0.113.8", "169.254.1.1 203.0.113.8"] {
        let first = addresses.split_once(' ').unwrap().0;
        let found = found(&facts(vec![resolver("r", "203.0.113.53", addresses, "")]));
        assert_eq!(found, [format!("?{first} private_address")]);
    }
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
fn the_only_record_of_its_kind_is_told_as_bad_as_it_is() {
    for (v4, v6, expected) in [
        ("203.0.113.7", "", &["clients have"][..]),
        ("", "2001:db8::7", &["clients have"]),
        ("203.0.113.7 203.0.113.8 203.0.113.9", "2001:db8::7", &["clients with IPv6 alone have"]),
        ("203.0.113.7", "2001:db8::7 2001:db8::8", &["clients with IPv4 alone have"]),
        ("203.0.113.7", "2001:db8::7", &["clients with IPv4 alone have", "clients with IPv6 alone have"]),
    ] {
        let found = findings(&facts(vec![resolver("r", "192.168.0.1", v4, v6)]));
        let mends: Vec<_> = found.iter().map(|finding| finding.mend.as_str()).collect();
        assert_eq!(mends.len(), expected.len(), "A {v4:?}, AAAA {v6:?}: {mends:?}");
        for (mend, who) in mends.iter().zip(expected) {
            assert!(mend.contains(&format!(", {who} nowhere else to go")), "A {v4:?}, AAAA {v6:?}: {mend}");
        }
    }
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

#[test]
fn the_report_shows_all_of_it() {
    let mut facts = facts(vec![
        resolver("system", "192.168.0.1", "203.0.113.7/600 203.0.113.8/600", "2001:db8::7/600"),
        resolver("203.0.113.53:53", "203.0.113.53", "203.0.113.7 203.0.113.9", "late"),
    ]);
    let alias = Alias { name: "www.example.com".to_owned(), target: "edges.example.net".to_owned(), ttl: 30 };
    facts.resolvers[0].v4.aliases.push(alias.clone());
    facts.resolvers[0].v6.aliases.push(alias);
    facts.addresses[1] = Address {
        http: Some(Contact::Other { status: 404, server: Some("nginx\u{1b}[31m".to_owned()) }),
        https: Some(Contact::Refused),
        certificate: None,
        ..edge("203.0.113.8")
    };
    facts.addresses[2].certificate.as_mut().unwrap().stand_in = true;
    let report = Report::new(facts);
    insta::assert_snapshot!(report.render(false), @"
    www.example.com

      asked of system (192.168.0.1:53)
        CNAME www.example.com -> edges.example.net  TTL 30 s
        A     203.0.113.7  TTL 600 s
        A     203.0.113.8  TTL 600 s
        AAAA  2001:db8::7  TTL 600 s

      asked of 203.0.113.53:53
        A     203.0.113.7  TTL 60 s
        A     203.0.113.9  TTL 60 s
        AAAA  timeout: no answer within 5s

      Address      HTTP 80  HTTPS 443  Certificate
      203.0.113.7  edge     edge       www.example.com; until 2024-11-18; trusted
      203.0.113.8  other    refused
      203.0.113.9  edge     edge       self-signed stand-in
      2001:db8::7  edge     edge       www.example.com; until 2024-11-18; trusted

    Problems
      203.0.113.53:53: AAAA: no answer within 5s
          -> see whether it runs, and whether port 53 is open from here, over UDP and TCP
      203.0.113.8: system gives it, 203.0.113.53:53 does not
          -> after a change, wait until the TTL is over and look again; if it stays, the name servers of the zone do not have the same records, or tell each client something else
      203.0.113.9: 203.0.113.53:53 gives it, system does not
          -> after a change, wait until the TTL is over and look again; if it stays, the name servers of the zone do not have the same records, or tell each client something else
      203.0.113.8:80: somebody else answers there (status 404, nginx?[31m)
          -> see whether the edge runs on that machine, publishes the port there, and its firewall lets it through; else take the address out of DNS
      203.0.113.8:443: nobody listens there
          -> see whether the edge runs on that machine, publishes the port there, and its firewall lets it through; else take the address out of DNS
      203.0.113.9:443: the edge shows the self-signed certificate that it makes while it has none
          -> browsers warn about it: give the edge a certificate (--tls-cert-file and --tls-key-file)

    Hints
      system: the answer may be kept for 600 s
          -> an address that is taken out of DNS is used for that long: set a TTL of 60 to 300 s
      2001:db8::7: it is the only AAAA record of www.example.com
          -> when its machine is down, clients with IPv6 alone have nowhere else to go: add a record for each edge

    6 problems, 2 hints.
    ");
    let json: serde_json::Value = serde_json::from_str(&report.render(true)).unwrap();
    assert_eq!((&json["well"], json["findings"].as_array().unwrap().len()), (&false.into(), report.findings.len()));
    insta::assert_snapshot!(serde_json::to_string_pretty(&json["addresses"][0]).unwrap(), @r#"
    {
      "address": "203.0.113.7",
      "certificate": {
        "fits": true,
        "issuer": "CN=an authority",
        "names": [
          "www.example.com"
        ],
        "not_after": "2024-11-18T00:00:00Z",
        "not_before": "2024-08-20T00:00:00Z",
        "serial": "01",
        "stand_in": false,
        "trusted": true
      },
      "http": {
        "detail": null,
        "port": 80,
        "status": "edge"
      },
      "https": {
        "detail": null,
        "port": 443,
        "status": "edge"
      },
      "resolvers": [
        "system",
        "203.0.113.53:53"
      ]
    }
    "#);
    insta::assert_snapshot!(serde_json::to_string_pretty(&json["resolvers"][1]).unwrap(), @r#"
    {
      "a": {
        "aliases": [],
        "detail": null,
        "records": [
          {
            "address": "203.0.113.7",
            "ttl": 60
          },
          {
            "address": "203.0.113.9",
            "ttl": 60
          }
        ],
        "status": "records"
      },
      "aaaa": {
        "aliases": [],
        "detail": "no answer within 5s",
        "records": [],
        "status": "timeout"
      },
      "resolver": "203.0.113.53:53",
      "servers": [
        "203.0.113.53:53"
      ]
    }
    "#);
}

fn any_outcome() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("nx".to_owned()),
        Just("fail".to_owned()),
        Just("late".to_owned()),
        Just(String::new()),
        prop::collection::vec((0_u8..4, 0_u32..1000), 1..4).prop_map(|records| {
            records.iter().map(|(last, ttl)| format!("203.0.113.{last}/{ttl}")).collect::<Vec<_>>().join(" ")
        }),
    ]
}

proptest! {
    #[test]
    fn a_name_is_well_only_if_somebody_knows_an_address_of_it(
        said in prop::collection::vec((any_outcome(), any_outcome()), 1..4),
    ) {
        // AAAA with IPv4 addresses does not happen, and would not matter here.
        let resolvers = said.iter().zip(1..).map(|((v4, v6), n): (_, u8)| {
            resolver(&n.to_string(), &format!("192.168.0.{n}"), v4, &v6.replace("203.0.113.", "2001:db8::"))
        });
        let report = Report::new(facts(resolvers.collect()));
        prop_assert!(!report.well || !report.addresses.is_empty());
        // The same facts are told in the same way, and problems come first.
        let levels: Vec<_> = report.findings.iter().map(|finding| finding.level).collect();
        prop_assert!(levels.is_sorted());
        prop_assert!(report.render(false).is_ascii());
    }
}
