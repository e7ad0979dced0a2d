use proptest::prelude::*;

use super::*;

/// The addresses in a list and what is odd about it, or what is wrong.
fn heard(body: &str) -> Result<(String, Option<String>), String> {
    let nodes = read(body.as_bytes()).map_err(|error| error.to_string())?;
    let addresses: Vec<_> = nodes.known.at_port(1).iter().map(|address| address.ip().to_string()).collect();
    Ok((addresses.join(" "), nodes.complaint))
}

/// A list of nodes: hostname and address with `=` between, not ready with a `-` in front.
fn list(nodes: &str) -> String {
    let node = |node: &str| {
        let (hostname, address) = node.trim_start_matches('-').split_once('=').unwrap();
        let ready = !node.starts_with('-');
        format!(r#"{{"address":"{address}","hostname":"{hostname}","ready":{ready},"role":"manager"}}"#)
    };
    let nodes: Vec<_> = nodes.split_whitespace().map(node).collect();
    format!(r#"{{"version":"7f3a","nodes":[{}],"more":{{}}}}"#, nodes.join(","))
}

#[test]
fn ready_nodes_are_endpoints_and_others_are_not() {
    for (nodes, addresses) in [
        ("a=10.0.0.1", "10.0.0.1"),
        ("a=10.0.0.2 b=10.0.0.1", "10.0.0.1 10.0.0.2"),
        ("a=10.0.0.1 -b=10.0.0.2", "10.0.0.1"),
        ("a=10.0.0.1 b=10.0.0.1", "10.0.0.1"),
        ("a=10.0.0.1 b=fd00::1", "10.0.0.1 fd00::1"),
        ("a=::ffff:10.0.0.1", "10.0.0.1"),
        ("-a=nonsense b=10.0.0.1", "10.0.0.1"),
    ] {
        assert_eq!(heard(&list(nodes)), Ok((addresses.to_owned(), None)), "{nodes}");
    }
}

#[test]
fn a_node_without_a_usable_address_is_told_and_the_others_are_used() {
    for (nodes, odd) in [
        ("a=10.0.0.1 b=0.0.0.0", r#"node "b" has no usable address, but "0.0.0.0""#),
        ("a=10.0.0.1 b=", r#"node "b" has no usable address, but """#),
        ("b=10.0.0.9:2377 c=x a=10.0.0.1", r#"node "b" has no usable address, but "10.0.0.9:2377" (1 more)"#),
    ] {
        assert_eq!(heard(&list(nodes)), Ok(("10.0.0.1".to_owned(), Some(odd.to_owned()))), "{nodes}");
    }
}

#[test]
fn what_names_nobody_or_is_no_list_keeps_what_is_known() {
    for (body, why) in [
        (list(""), "no node is ready"),
        (list("-a=10.0.0.1"), "no node is ready"),
        (list("a=0.0.0.0 b=fe80::1"), "no ready node has a usable address"),
        (String::new(), "not a list of nodes: EOF while parsing a value at line 1 column 0"),
        ("<html>".to_owned(), "not a list of nodes: expected value at line 1 column 1"),
        ("{}".to_owned(), "not a list of nodes: missing field `nodes` at line 1 column 2"),
        ("[]".to_owned(), "not a list of nodes: invalid length 0"),
        (r#"{"nodes":[{"address":"10.0.0.1"}]}"#.to_owned(), "not a list of nodes: missing field `ready`"),
        (r#"{"nodes":null}"#.to_owned(), "not a list of nodes: invalid type: null"),
    ] {
        let told = heard(&body).unwrap_err();
        assert!(told.starts_with(why), "{body}: {told}");
        let decision = decide(&read(body.as_bytes()).map_err(|error| error.to_string()));
        assert_eq!(decision, Decision { known: None, error: Some(told) });
    }
}

#[test]
fn a_status_tells_what_to_mend() {
    for (status, text) in [
        (503, "status 503: it has no current picture of the swarm"),
        (401, "status 401: it wants another token"),
        (403, "status 403: it wants another token"),
        (404, "status 404"),
        (302, "status 302"),
    ] {
        assert_eq!(Failure::of(StatusCode::from_u16(status).unwrap()).to_string(), text);
    }
}

#[test]
fn the_one_that_answered_last_is_asked_first_and_then_the_others() {
    let servers = BTreeSet::from([1, 2, 3].map(|last| SocketAddr::from(([10, 0, 0, last], 8080))));
    let order = |last: Option<u8>, chance| {
        let last = last.map(|last| SocketAddr::from(([10, 0, 0, last], 8080)));
        turns(&servers, last, chance).iter().map(|at| at.to_string().as_bytes()[7] - b'0').collect::<Vec<_>>()
    };
    assert_eq!(order(Some(2), 0.0), [2, 3, 1]);
    assert_eq!(order(Some(9), 0.0), [1, 2, 3], "gone");
    assert_eq!((order(None, 0.0), order(None, 0.5), order(None, 1.0)), (vec![1, 2, 3], vec![2, 3, 1], vec![3, 1, 2]));
    assert!(turns(&BTreeSet::new(), None, 0.5).is_empty());
}

#[test]
fn pauses_grow_with_failures_and_a_held_question_needs_none() {
    let no_time = Duration::ZERO;
    let failed = [1, 2, 3, 4, 5, 32, u32::MAX].map(|failures| pause(failures, no_time, 1.0).as_millis());
    assert_eq!(failed, [500, 1000, 2000, 4000, 4000, 4000, 4000]);
    assert_eq!(pause(1, no_time, 0.0), FIRST_PAUSE / 2);
    assert_eq!((pause(0, no_time, 0.5), pause(0, Duration::from_secs(5), 0.5)), (LEAST, no_time));
}

proptest! {
    #[test]
    fn no_body_panics(body: Vec<u8>) {
        prop_assert!(read(&body).is_err());
    }

    #[test]
    fn a_list_that_is_used_has_an_endpoint(
        nodes in prop::collection::vec((any::<IpAddr>(), any::<bool>()), 0..20),
    ) {
        let nodes: Vec<_> =
            nodes.iter().map(|(address, ready)| format!("{}n={address}", if *ready { "" } else { "-" })).collect();
        if let Ok(nodes) = read(list(&nodes.join(" ")).as_bytes()) {
            prop_assert!(!nodes.known.at_port(1).is_empty());
        }
    }

    #[test]
    fn everybody_is_asked_once(count in 0_u8..20, last in prop::option::of(0_u8..25), chance in 0.0_f64..=1.0) {
        let at = |last: u8| SocketAddr::from(([10, 0, 0, last], 80));
        let servers: BTreeSet<_> = (0..count).map(at).collect();
        let turns = turns(&servers, last.map(at), chance);
        prop_assert_eq!(turns.len(), servers.len());
        prop_assert_eq!(turns.into_iter().collect::<BTreeSet<_>>(), servers);
    }

    #[test]
    fn pauses_stay_in_bounds(failures: u32, took in 0_u64..10_000, chance in 0.0_f64..=1.0) {
        let pause = pause(failures, Duration::from_millis(took), chance);
        prop_assert!(pause <= LONGEST_PAUSE);
        prop_assert!(failures == 0 || pause >= FIRST_PAUSE / 2);
    }
}
