use proptest::prelude::*;

use super::*;

/// Parses a list and returns its addresses and its warning, or the error.
fn parsed(body: &str) -> Result<(String, Option<String>), String> {
    let nodes = read(body.as_bytes()).map_err(|error| error.to_string())?;
    let addresses: Vec<_> = nodes.addresses.at_port(1).iter().map(|address| address.ip().to_string()).collect();
    Ok((addresses.join(" "), nodes.warning))
}

/// A list of nodes given as `hostname=address`; a leading `-` means not ready.
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
        assert_eq!(parsed(&list(nodes)), Ok((addresses.to_owned(), None)), "{nodes}");
    }
}

#[test]
fn node_without_a_usable_address_causes_a_warning_and_the_others_are_used() {
    for (nodes, odd) in [
        ("a=10.0.0.1 b=0.0.0.0", r#"node "b" has no usable address: "0.0.0.0""#),
        ("a=10.0.0.1 b=", r#"node "b" has no usable address: """#),
        ("b=10.0.0.9:2377 c=x a=10.0.0.1", r#"node "b" has no usable address: "10.0.0.9:2377" (1 more)"#),
    ] {
        assert_eq!(parsed(&list(nodes)), Ok(("10.0.0.1".to_owned(), Some(odd.to_owned()))), "{nodes}");
    }
}

#[test]
fn empty_or_malformed_list_keeps_the_present_nodes() {
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
        let error = parsed(&body).unwrap_err();
        assert!(error.starts_with(why), "{body}: {error}");
        let decision = decide(&read(body.as_bytes()).map_err(|error| error.to_string()));
        assert_eq!(decision, Decision { addresses: None, error: Some(error) });
    }
}

#[test]
fn error_statuses_are_explained() {
    for (status, text) in [
        (503, "status 503: the watch has no current list of nodes"),
        (401, "status 401: the watch rejects the token"),
        (403, "status 403: the watch rejects the token"),
        (421, "status 421: watch does not accept requests by this name; list it in its --hosts (WATCH_HOSTS)"),
        (404, "status 404"),
        (302, "status 302"),
    ] {
        assert_eq!(Failure::of(StatusCode::from_u16(status).unwrap()).to_string(), text);
    }
}

#[test]
fn server_that_responded_last_is_tried_first_and_then_the_others() {
    let servers = BTreeSet::from([1, 2, 3].map(|last| SocketAddr::from(([10, 0, 0, last], 8080))));
    let digits = |last: Option<u8>, chance| {
        let last = last.map(|last| SocketAddr::from(([10, 0, 0, last], 8080)));
        order(&servers, last, chance).iter().map(|at| at.to_string().as_bytes()[7] - b'0').collect::<Vec<_>>()
    };
    assert_eq!(digits(Some(2), 0.0), [2, 3, 1]);
    assert_eq!(digits(Some(9), 0.0), [1, 2, 3], "gone");
    assert_eq!(
        (digits(None, 0.0), digits(None, 0.5), digits(None, 1.0)),
        (vec![1, 2, 3], vec![2, 3, 1], vec![3, 1, 2])
    );
    assert!(order(&BTreeSet::new(), None, 0.5).is_empty());
}

#[test]
fn delays_grow_with_failures_and_a_held_request_needs_none() {
    let no_time = Duration::ZERO;
    let failed = [1, 2, 3, 4, 5, 32, u32::MAX].map(|failures| delay(failures, no_time, 1.0).as_millis());
    assert_eq!(failed, [500, 1000, 2000, 4000, 4000, 4000, 4000]);
    assert_eq!(delay(1, no_time, 0.0), FIRST_DELAY / 2);
    assert_eq!((delay(0, no_time, 0.5), delay(0, Duration::from_secs(5), 0.5)), (MIN_INTERVAL, no_time));
}

proptest! {
    #[test]
    fn no_body_panics(body: Vec<u8>) {
        prop_assert!(read(&body).is_err());
    }

    #[test]
    fn parsed_list_has_an_endpoint(
        nodes in prop::collection::vec((any::<IpAddr>(), any::<bool>()), 0..20),
    ) {
        let nodes: Vec<_> =
            nodes.iter().map(|(address, ready)| format!("{}n={address}", if *ready { "" } else { "-" })).collect();
        if let Ok(nodes) = read(list(&nodes.join(" ")).as_bytes()) {
            prop_assert!(!nodes.addresses.at_port(1).is_empty());
        }
    }

    #[test]
    fn every_server_is_tried_once(count in 0_u8..20, last in prop::option::of(0_u8..25), chance in 0.0_f64..=1.0) {
        let at = |last: u8| SocketAddr::from(([10, 0, 0, last], 80));
        let servers: BTreeSet<_> = (0..count).map(at).collect();
        let order = order(&servers, last.map(at), chance);
        prop_assert_eq!(order.len(), servers.len());
        prop_assert_eq!(order.into_iter().collect::<BTreeSet<_>>(), servers);
    }

    #[test]
    fn delays_stay_in_bounds(failures: u32, took in 0_u64..10_000, chance in 0.0_f64..=1.0) {
        let delay = delay(failures, Duration::from_millis(took), chance);
        prop_assert!(delay <= MAX_DELAY);
        prop_assert!(failures == 0 || delay >= FIRST_DELAY / 2);
    }
}
