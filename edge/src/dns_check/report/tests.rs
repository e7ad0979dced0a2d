use proptest::prelude::*;

use super::Report;
use crate::dns_check::{
    facts::{Address, Alias, ProbeOutcome},
    testing::{edge, facts, resolver},
};

#[test]
fn report_has_all_answers_addresses_and_findings() {
    let mut facts = facts(vec![
        resolver("system", "192.168.0.1", "203.0.113.7/600 203.0.113.8/600", "2001:db8::7/600"),
        resolver("203.0.113.53:53", "203.0.113.53", "203.0.113.7 203.0.113.9", "late"),
    ]);
    let alias = Alias { name: "www.example.com".to_owned(), target: "edges.example.net".to_owned(), ttl: 30 };
    facts.resolvers[0].v4.aliases.push(alias.clone());
    facts.resolvers[0].v6.aliases.push(alias);
    facts.addresses[1] = Address {
        http: Some(ProbeOutcome::Other { status: 404, server: Some("nginx\u{1b}[31m".to_owned()) }),
        https: Some(ProbeOutcome::Refused),
        certificate: None,
        ..edge("203.0.113.8")
    };
    facts.addresses[2].certificate.as_mut().unwrap().stand_in = true;
    let report = Report::new(facts);
    insta::assert_snapshot!(report.render(false), @"
    www.example.com

      resolver system (192.168.0.1:53)
        CNAME www.example.com -> edges.example.net  TTL 30 s
        A     203.0.113.7  TTL 600 s
        A     203.0.113.8  TTL 600 s
        AAAA  2001:db8::7  TTL 600 s

      resolver 203.0.113.53:53
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
          -> check that the name server runs, and that this machine can reach it over UDP and TCP
      203.0.113.8: returned by system, but not by 203.0.113.53:53
      203.0.113.9: returned by 203.0.113.53:53, but not by system
          -> after a change, wait for the TTL and check again; if the difference stays, the name servers of the zone have different records, or their answers depend on the client
      203.0.113.8:80: another program responded (status 404, nginx?[31m)
      203.0.113.8:443: connection refused: no program listens on this port
          -> check that the edge runs on that machine, publishes this port, and is not blocked by a firewall; otherwise remove the address from DNS
      203.0.113.9:443: the edge presents the self-signed certificate that it generates when it has no other
          -> browsers warn about it: configure a certificate (--tls-cert-file and --tls-key-file)

    Hints
      system: resolvers may cache the answer for 600 s
          -> clients use an address for that long after its removal from DNS: set a TTL of 60 to 300 s
      2001:db8::7: the only AAAA record of www.example.com
          -> when its machine is down, clients with only IPv6 have no other address: add a record for each edge

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

#[test]
fn equal_findings_are_one_with_all_their_subjects() {
    let all: Vec<_> = (1..=13).map(|last| format!("203.0.113.{last}")).collect();
    let mut facts = facts(vec![resolver("system", "192.168.0.1", &all.join(" "), "")]);
    for address in &mut facts.addresses {
        (address.http, address.https, address.certificate) =
            (Some(ProbeOutcome::Refused), Some(ProbeOutcome::Refused), None);
    }
    let report = Report::new(facts);
    let text = report.render(false);
    assert_eq!((report.findings.len(), text.matches("->").count()), (26, 1), "{text}");
    assert!(text.contains("  203.0.113.1:80, 203.0.113.1:443, 203.0.113.2:80, 203.0.113.2:443, 203.0.113.3:80 and 21 more: connection refused"), "{text}");
    assert!(text.ends_with("26 problems.\n"), "{text}");
}

fn any_answer() -> impl Strategy<Value = String> {
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
    fn name_without_addresses_has_a_problem(
        answers in prop::collection::vec((any_answer(), any_answer()), 1..4),
    ) {
        // `any_answer` returns IPv4 addresses.
        let resolvers = answers.iter().zip(1..).map(|((v4, v6), n): (_, u8)| {
            resolver(&n.to_string(), &format!("192.168.0.{n}"), v4, &v6.replace("203.0.113.", "2001:db8::"))
        });
        let report = Report::new(facts(resolvers.collect()));
        prop_assert!(!report.well || !report.addresses.is_empty());
        // Problems come first.
        let levels: Vec<_> = report.findings.iter().map(|finding| finding.level).collect();
        prop_assert!(levels.is_sorted());
        prop_assert!(report.render(false).is_ascii());
    }
}
