use crate::dns_check::{
    facts::{Alias, Facts},
    findings::findings,
    testing::{facts, found, resolver, two},
};

/// What is found when one resolver says this.
fn said(v4: &str, v6: &str) -> Vec<String> {
    found(&facts(vec![resolver("r", "192.168.0.1", v4, v6)]))
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
