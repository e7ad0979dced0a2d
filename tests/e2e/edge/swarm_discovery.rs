//! A pool of a swarm's nodes, while the list changes and the servers that provide it fail and return.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{
    client::load::Load,
    dns::{Answer, Dns},
    nodes::{Behaviour, Nodes},
    port,
    process::Process,
    recorded::Recorded,
    upstream::Upstream,
    wait::{SOON, eventually, eventually_some},
};

use super::{CHECKS, Edge, LISTENER, assert_all_ok, assert_no_more_requests};
use crate::watch::Watch;

fn config(watch: SocketAddr, port: u16) -> String {
    format!("{LISTENER}[pool.web]\nendpoints = \"swarm://{watch}?port={port}\"\n{CHECKS}")
}

fn ips(tasks: &[Upstream]) -> Vec<IpAddr> {
    tasks.iter().map(|task| task.address().ip()).collect()
}

/// Returns the status of the only source, and the endpoints' addresses.
async fn source(edge: &Edge) -> (Value, Vec<IpAddr>) {
    let pool = edge.status().await["pools"][0].clone();
    let endpoints = pool["endpoints"].as_array().unwrap().iter();
    let address = |endpoint: &Value| endpoint["address"].as_str().unwrap().parse::<SocketAddr>().unwrap().ip();
    (pool["sources"][0].clone(), endpoints.map(address).collect())
}

/// Starts three nodes, a server that lists the first two, and an edge that has both.
async fn swarm() -> ([Upstream; 3], Nodes, Edge) {
    let tasks: [Upstream; 3] = Upstream::start_tasks().await;
    let nodes = Nodes::start().await;
    nodes.set(ips(&tasks[..2]));
    let edge = Edge::start(&config(nodes.address(), tasks[0].address().port())).await;
    eventually("two nodes", SOON, async || source(&edge).await.1 == ips(&tasks[..2])).await;
    // From now on the edge waits for changes by long polls.
    eventually("a held request", SOON, async || nodes.held() > 0).await;
    (tasks, nodes, edge)
}

/// Waits until the status shows this error of the source.
async fn source_fails(edge: &Edge, error: &str) {
    let shown = || async { source(edge).await.0["error"].as_str().is_some_and(|shown| shown.contains(error)) };
    eventually(error, SOON, async || shown().await).await;
}

#[tokio::test]
async fn a_new_node_gets_requests_and_one_that_is_not_ready_does_not() {
    let (tasks, nodes, edge) = swarm().await;
    let load = Load::on(&[edge.address()]).start();
    let lists = nodes.lists();
    nodes.set(ips(&tasks));
    eventually("requests to the new node", SOON, async || tasks[2].requests_for("/") > 0).await;
    assert_eq!(nodes.lists() - lists, 1, "the first answer with the new list is enough");

    nodes.set_all(tasks.iter().zip([false, true, true]).map(|(task, ready)| (task.address().ip(), ready)));
    eventually("two nodes", SOON, async || source(&edge).await.1 == ips(&tasks[1..])).await;
    assert_eq!(nodes.lists() - lists, 2, "the first answer with the new list is enough");
    assert_no_more_requests(&tasks[0], &load).await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn the_edge_follows_the_nodes_that_watch_serves() {
    let tasks: [Upstream; 3] = Upstream::start_tasks().await;
    let engine = Recorded::start("steady").await;
    engine.set_addresses(ips(&tasks));
    let mut watch = Watch::start(&engine.url(), &[]).await;
    let edge = Edge::start(&config(watch.address, tasks[0].address().port())).await;
    let sorted = |mut addresses: Vec<IpAddr>| {
        addresses.sort();
        addresses
    };
    let has = |wanted: Vec<IpAddr>| async { sorted(source(&edge).await.1) == sorted(wanted) };
    eventually("three nodes", SOON, async || has(ips(&tasks)).await).await;
    let load = Load::on(&[edge.address()]).start();

    // One of the recorded machines dies.
    let dead = tests::recorded::down("down").expect("a node is down");
    let alive: Vec<IpAddr> =
        ips(&tasks).into_iter().enumerate().filter(|(index, _)| *index != dead).map(|(_, ip)| ip).collect();
    engine.set("down");
    engine.send_event();
    eventually("two nodes", SOON, async || has(alive.clone()).await).await;
    eventually("requests without it", SOON, async || tasks[dead].open_connections() == 0).await;

    watch.process.kill();
    source_fails(&edge, "connection refused").await;
    assert!(has(alive).await, "the last list is kept");
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn an_unchanged_list_is_requested_every_few_seconds() {
    let (_tasks, nodes, edge) = swarm().await;
    let began = Instant::now();
    let (requests, held) = (nodes.requests(), nodes.held());
    eventually("two more held requests", SOON, async || nodes.held() >= held + 2).await;
    assert_eq!(nodes.requests() - requests, 2);
    assert!(began.elapsed() > Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(source(&edge).await.0["error"], Value::Null);
}

#[tokio::test]
async fn the_last_list_is_kept_while_its_server_fails() {
    let (tasks, nodes, edge) = swarm().await;
    let load = Load::on(&[edge.address()]).start();
    for (behaviour, error) in [
        (Behaviour::Status(503), "status 503: the watch has no current list of nodes"),
        (Behaviour::Status(500), "status 500"),
        (Behaviour::Body("<html>".into()), "not a list of nodes"),
        (Behaviour::Body(r#"{"version":"x","nodes":[]}"#.into()), "no node is ready"),
        (Behaviour::Body(vec![b' '; 2 << 20].into()), "the list is larger than"),
        (Behaviour::Silence, "no answer within 2s"),
    ] {
        nodes.behave(behaviour);
        source_fails(&edge, error).await;
        assert_eq!(source(&edge).await.1, ips(&tasks[..2]), "{error}");
    }
    nodes.kill().await;
    source_fails(&edge, "connection refused").await;
    let before = tasks.each_ref().map(|task| task.requests_for("/"));
    eventually("requests to both", SOON, async || {
        tasks[..2].iter().zip(before).all(|(task, before)| task.requests_for("/") > before)
    })
    .await;
    assert_eq!(source(&edge).await.1, ips(&tasks[..2]));

    nodes.behave(Behaviour::List);
    nodes.set(ips(&tasks[1..]));
    nodes.restart().await;
    eventually("the new list", SOON, async || source(&edge).await.1 == ips(&tasks[1..])).await;
    assert_eq!(source(&edge).await.0["error"], Value::Null);
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn a_list_that_appears_after_the_start_is_used() {
    let tasks: [Upstream; 1] = Upstream::start_tasks().await;
    let watch = SocketAddr::from(([127, 0, 0, 1], port::free()));
    let edge = Edge::start(&config(watch, tasks[0].address().port())).await;
    source_fails(&edge, "connection refused").await;
    let nodes = Nodes::start_at(watch).await;
    nodes.set(ips(&tasks));
    eventually("the node", SOON, async || source(&edge).await.1 == ips(&tasks)).await;
}

/// Starts an edge that asks all watches that a name resolves to, on the port of the first.
async fn edge_of(dns: &Dns, watches: &[Nodes], port: u16) -> Edge {
    dns.set("tasks.watch", Answer::addresses(watches.iter().map(|watch| watch.address().ip())));
    let watch_port = watches[0].address().port();
    let source = format!("endpoints = \"swarm://tasks.watch:{watch_port}?port={port}\"");
    Edge::start(&format!("[dns]\nservers = \"{}\"\n{LISTENER}[pool.web]\n{source}\n{CHECKS}", dns.address())).await
}

/// Starts two watches of a swarm, on one port.
async fn two_watches() -> [Nodes; 2] {
    let port = port::free();
    [Nodes::start_at(([127, 0, 0, 1], port).into()).await, Nodes::start_at(([127, 0, 0, 2], port).into()).await]
}

/// Returns the index of the watch that holds the next request.
async fn holder(watches: &[Nodes; 2]) -> usize {
    let before = watches.each_ref().map(Nodes::held);
    let holder = async || (0..2).find(|index| watches[*index].held() > before[*index]);
    eventually_some("a held request", SOON, holder).await
}

#[tokio::test]
async fn the_tag_of_one_watch_is_not_sent_to_another() {
    let tasks: [Upstream; 2] = Upstream::start_tasks().await;
    let (dns, watches) = (Dns::start().await, two_watches().await);
    // Both lists have the same tag.
    watches[0].set(ips(&tasks[..1]));
    watches[1].set(ips(&tasks[1..]));
    let edge = edge_of(&dns, &watches, tasks[0].address().port()).await;
    let first = holder(&watches).await;
    assert_eq!(source(&edge).await.1, [tasks[first].address().ip()]);
    watches[first].kill().await;
    eventually("the other's list", SOON, async || source(&edge).await.1 == [tasks[1 - first].address().ip()]).await;
}

#[tokio::test]
async fn another_watch_is_asked_when_one_fails_or_hangs() {
    let tasks: [Upstream; 3] = Upstream::start_tasks().await;
    let (dns, watches) = (Dns::start().await, two_watches().await);
    watches.iter().for_each(|watch| watch.set(ips(&tasks[..1])));
    let mut edge = edge_of(&dns, &watches, tasks[0].address().port()).await;
    eventually("a node", SOON, async || source(&edge).await.1 == ips(&tasks[..1])).await;

    let mut list = 1;
    for failure in [Behaviour::Silence, Behaviour::Status(503), Behaviour::Status(404)] {
        // The watch that holds the request fails.
        let current = holder(&watches).await;
        watches[current].behave(failure);
        watches[1 - current].behave(Behaviour::List);
        list = 3 - list;
        watches[1 - current].set(ips(&tasks[..list]));
        eventually("the other's list", SOON, async || source(&edge).await.1 == ips(&tasks[..list])).await;
        assert_eq!(source(&edge).await.0["error"], Value::Null);
    }

    dns.set("tasks.watch", Answer::NoSuchName);
    watches.iter().for_each(|watch| {
        watch.behave(Behaviour::List);
        watch.set(ips(&tasks));
    });
    eventually("the last good addresses", SOON, async || source(&edge).await.1 == ips(&tasks)).await;
    assert_eq!(edge.drain(SOON).await, Some(0), "a held request does not delay the exit");
}

#[tokio::test]
async fn a_token_is_sent_and_never_logged_and_may_be_replaced() {
    let tasks: [Upstream; 1] = Upstream::start_tasks().await;
    let nodes = Nodes::start().await;
    nodes.set(ips(&tasks));
    nodes.require("open-sesame");
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "wrong-word\n").unwrap();
    let mut edge = Process::ours("edge")
        .args(["run", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log", "trace", "--to-mesh"])
        .arg(format!("swarm://{}", nodes.address()))
        .args(["--to-port", &tasks[0].address().port().to_string(), "--swarm-token-file"])
        .arg(&token)
        .start();
    let refused = edge.line("status 401: the watch rejects the token").await;
    assert!(refused.contains("WARN") && refused.contains("swarm://"), "{refused}");
    std::fs::write(&token, "open-sesame\n").unwrap();
    edge.line("endpoint added").await;
    edge.terminate();
    assert_eq!(edge.exit(SOON).await.code(), Some(0));
    let log = edge.lines().join("\n");
    assert!(!log.contains("wrong-word") && !log.contains("open-sesame"), "{log}");
}

#[tokio::test]
async fn an_unreadable_token_is_reported_before_anything_is_bound() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edge.toml");
    let text = format!("[swarm]\ntoken_file = \"none\"\n{}", config("127.0.0.1:1".parse().unwrap(), 1));
    std::fs::write(&file, text).unwrap();
    for command in ["run", "check"] {
        let mut edge = Process::ours("edge").args([command, "--config"]).arg(&file).start();
        let line = edge.line("none: cannot be read").await;
        assert!(line.starts_with("edge: "), "{line}");
        assert_eq!(edge.exit(SOON).await.code(), Some(2));
    }
}
