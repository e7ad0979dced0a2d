use crate::dns_check::{
    facts::{Alias, Facts},
    findings::{Finding, findings},
    testing::{codes, facts, resolver, two_edges},
};

/// The findings for the answers of a single resolver.
fn codes_of(v4: &str, v6: &str) -> Vec<String> {
    codes(&facts(vec![resolver("r", "192.168.0.1", v4, v6)]))
}

#[test]
fn failed_queries_are_distinguished() {
    for (v4, v6, expected) in [
        ("nx", "nx", "r no_such_name"),
        ("nx", "", "r no_such_name"),
        ("", "", "r no_addresses"),
        ("fail", "fail", "r server_failure"),
        ("late", "late", "r resolver_timeout"),
        ("refused", "refused", "r refused_by_resolver"),
        ("203.0.113.7 203.0.113.8", "fail", "r server_failure"),
        ("203.0.113.7 203.0.113.8", "nx", "?r half_a_name"),
        ("", "late", "r resolver_timeout"),
        ("closed", "closed", "r resolver_closed"),
        ("loop", "loop", "r alias_loop"),
        ("referral", "referral", "r referral"),
        ("udp only", "", "r tcp_blocked"),
    ] {
        assert_eq!(codes_of(v4, v6), [expected], "A {v4:?}, AAAA {v6:?}");
    }
    assert_eq!(codes_of("fail", "late"), ["r server_failure", "r resolver_timeout"]);
    assert_eq!(codes_of("nx", "late"), ["r no_such_name", "r resolver_timeout"]);
    assert_eq!(codes_of("fail", "nx"), ["r no_such_name", "r server_failure"]);
    assert_eq!(
        codes_of("nx", "2001:db8::7 2001:db8::8"),
        ["www.example.com no_ipv4", "?r half_a_name"],
        "NXDOMAIN for one type"
    );
}

/// The only finding for a name that is an alias of `gone.example.net`, with these answers about that name.
fn of_alias(v4: &str, v6: &str) -> Finding {
    let mut facts = facts(vec![resolver("r", "192.168.0.1", v4, v6)]);
    let alias = Alias { name: "www.example.com".to_owned(), target: "gone.example.net".to_owned(), ttl: 60 };
    facts.resolvers[0].v4.aliases.push(alias.clone());
    facts.resolvers[0].v6.aliases.push(alias);
    let mut found = findings(&facts);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn target_of_an_alias_is_what_is_missing() {
    for (v4, v6, code) in [
        ("nx", "nx", "dangling_alias"),
        ("", "", "no_addresses"),
        ("refused", "refused", "alias_not_served"),
        ("referral", "referral", "alias_not_served"),
    ] {
        let finding = of_alias(v4, v6);
        assert_eq!(finding.code, code);
        assert!(finding.message.contains("www.example.com is an alias of gone.example.net"), "{finding:?}");
        assert!(!finding.advice.starts_with("create an A record"), "{finding:?}");
    }
}

#[test]
fn name_with_only_ipv6_addresses_is_a_problem() {
    let v6 = "2001:db8::7 2001:db8::8";
    assert_eq!(codes_of("", v6), ["www.example.com no_ipv4"]);
    assert_eq!(codes_of("fail", v6), ["r server_failure"], "unknown");
    let both =
        facts(vec![resolver("a", "192.168.0.1", "", v6), resolver("b", "192.168.0.2", "203.0.113.7 203.0.113.8", v6)]);
    assert!(codes(&both).iter().all(|code| code.ends_with("resolvers_differ")), "{:?}", codes(&both));
}

#[test]
fn differences_between_resolvers_are_problems_and_failed_queries_do_not_count() {
    let first = || resolver("a", "192.168.0.1", "203.0.113.7 203.0.113.8", "");
    let with = |other: &str| codes(&facts(vec![first(), resolver("b", "192.168.0.2", other, "")]));
    assert_eq!(with("203.0.113.8 203.0.113.7"), [""; 0], "the order does not matter");
    assert_eq!(with("203.0.113.7/30 203.0.113.8/30"), [""; 0], "TTLs count down");
    assert_eq!(with("203.0.113.8"), ["203.0.113.7 resolvers_differ"]);
    assert_eq!(
        with("203.0.113.9"),
        ["203.0.113.7", "203.0.113.8", "203.0.113.9"].map(|a| format!("{a} resolvers_differ"))
    );
    assert_eq!(with("fail"), ["b server_failure"]);
    let three = codes(&facts(vec![first(), first(), resolver("b", "192.168.0.2", "nx", "nx")]));
    assert_eq!(three, ["b no_such_name", "203.0.113.7 resolvers_differ", "203.0.113.8 resolvers_differ"]);
}

#[test]
fn settings_that_prolong_outages_are_hints() {
    for (v4, v6, expected) in [
        ("203.0.113.7 203.0.113.8", "2001:db8::7", "?2001:db8::7 one_address"),
        ("203.0.113.7", "2001:db8::7 2001:db8::8", "?203.0.113.7 one_address"),
        ("203.0.113.7/301 203.0.113.8/301", "", "?r long_ttl"),
        ("203.0.113.7/60 203.0.113.8/61", "", "?r ttls_differ"),
        ("203.0.113.7 203.0.113.7 203.0.113.8", "", "?203.0.113.7 duplicate"),
    ] {
        assert_eq!(codes_of(v4, v6), [expected], "A {v4:?}, AAAA {v6:?}");
    }
    assert_eq!(codes_of("203.0.113.7/300 203.0.113.8/300", ""), [""; 0]);
    assert_eq!(
        codes_of("203.0.113.7/60 203.0.113.8/60", "2001:db8::7/90 2001:db8::8/90"),
        [""; 0],
        "TTLs may differ between types"
    );
    let mut aliased = two_edges();
    let alias = Alias { name: "www.example.com".to_owned(), target: "a.example".to_owned(), ttl: 86_400 };
    aliased.resolvers[0].v4.aliases.push(alias);
    assert_eq!(codes(&aliased), ["?system long_ttl"]);
    let hosts_file = vec!["127.0.0.1".parse().unwrap()];
    assert_eq!(codes(&Facts { hosts_file, ..two_edges() }), ["?www.example.com hosts_file"]);
}

#[test]
fn private_address_is_a_hint_only_if_a_public_name_server_returns_it() {
    let (private, shared) = ("10.0.0.1 203.0.113.8", "100.64.0.1 203.0.113.8");
    assert_eq!(codes(&facts(vec![resolver("r", "127.0.0.11", private, "")])), [""; 0]);
    for addresses in [private, shared] {
        let first = addresses.split_once(' ').unwrap().0;
        let codes = codes(&facts(vec![resolver("r", "203.0.113.53", addresses, "")]));
        assert_eq!(codes, [format!("?{first} private_address")]);
    }
}

#[test]
fn single_address_of_a_family_names_the_clients_that_depend_on_it() {
    for (v4, v6, expected) in [
        ("203.0.113.7", "", &["clients have"][..]),
        ("", "2001:db8::7", &["clients have"]),
        ("203.0.113.7 203.0.113.8 203.0.113.9", "2001:db8::7", &["clients with only IPv6 have"]),
        ("203.0.113.7", "2001:db8::7 2001:db8::8", &["clients with only IPv4 have"]),
        ("203.0.113.7", "2001:db8::7", &["clients with only IPv4 have", "clients with only IPv6 have"]),
    ] {
        let found = findings(&facts(vec![resolver("r", "192.168.0.1", v4, v6)]));
        let found: Vec<_> = found.iter().filter(|finding| finding.code == "one_address").collect();
        let advice: Vec<_> = found.iter().map(|finding| finding.advice.as_str()).collect();
        assert_eq!(advice.len(), expected.len(), "A {v4:?}, AAAA {v6:?}: {advice:?}");
        for (advice, clients) in advice.iter().zip(expected) {
            assert!(advice.contains(&format!(", {clients} no other address")), "A {v4:?}, AAAA {v6:?}: {advice}");
        }
    }
}
