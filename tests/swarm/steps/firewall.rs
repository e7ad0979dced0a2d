//! Step 5: the rules of docs/firewall.md, between two events, so that no visitor comes through a port that they close.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tests::client::get;
use tests::swarm::cluster::Cluster;
use tests::swarm::fabric::{OUTSIDE, VISITOR};
use tests::swarm::page::Page;
use tests::swarm::project;
use tests::wait::{deadline, eventually};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::journey::Journey;

/// How long a port must stay silent to be closed: the kernel repeats a request for a connection after one second.
const SILENCE: Duration = Duration::from_secs(3);

/// The time limit for everything that must succeed.
const ANSWER: Duration = Duration::from_secs(20);

/// The network that the page admits to the swarm's page. Here it is the visitor.
const OPERATORS: &str = "192.0.2.0/24";

/// Puts the rules of the page in place, checks from outside and on the nodes what they close, and removes them.
pub(crate) async fn close_ports(journey: &mut Journey) {
    let cluster = &journey.cluster;
    let mut page = Page::read(&project::root().join("docs/firewall.md")).unwrap_or_else(|error| panic!("{error}"));
    for port in [8000, 5000, 8080] {
        assert_open(cluster, OUTSIDE, port).await;
    }

    page.run(cluster, "close").await.unwrap_or_else(|error| panic!("close: {error}"));
    assert_closed(cluster, OUTSIDE, 8000).await;
    assert_closed(cluster, OUTSIDE, 5000).await;
    assert_site_answers(cluster).await;
    assert!(!reaches_next(cluster).await, "a node reaches port 8000 of another one");

    page.run(cluster, "nodes").await.unwrap_or_else(|error| panic!("nodes: {error}"));
    assert!(reaches_next(cluster).await, "a node does not reach port 8000 of another one");
    assert_closed(cluster, OUTSIDE, 8000).await;

    let visitor = format!("{VISITOR}/32");
    let operators = page.run_with(cluster, "operators", OPERATORS, &visitor).await;
    operators.unwrap_or_else(|error| panic!("operators: {error}"));
    assert_closed(cluster, OUTSIDE, 8080).await;
    assert_open(cluster, VISITOR, 8080).await;
    assert_site_answers(cluster).await;
    assert!(page.not_run().is_empty(), "{:?}", page.not_run());

    // The same lines with -D, as the page says.
    let (insert, delete) = ("-I DOCKER-USER", "-D DOCKER-USER");
    for block in ["close", "nodes"] {
        let removed = page.run_with(cluster, block, insert, delete).await;
        removed.unwrap_or_else(|error| panic!("{block} with -D: {error}"));
    }
    for host in &cluster.hosts {
        host.run("iptables --wait -F DOCKER-USER").await.expect("a firewall");
    }
    for port in [8000, 5000, 8080] {
        assert_open(cluster, OUTSIDE, port).await;
    }
}

/// Whether a connection from one of the test's addresses succeeds in time.
async fn connects(from: Ipv4Addr, to: SocketAddr, within: Duration) -> bool {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((from, 0))).expect("the test's own address");
    timeout(within, socket.connect(to)).await.is_ok_and(|connected| connected.is_ok())
}

/// Asserts that no node accepts connections from an address to a port.
async fn assert_closed(cluster: &Cluster, from: Ipv4Addr, port: u16) {
    for node in cluster.addresses(port) {
        assert!(!connects(from, node, SILENCE).await, "{from} reaches {node}");
    }
}

/// Asserts that every node accepts connections from an address to a port.
async fn assert_open(cluster: &Cluster, from: Ipv4Addr, port: u16) {
    for node in cluster.addresses(port) {
        eventually(&format!("{from} reaches {node}"), ANSWER, async || connects(from, node, SILENCE).await).await;
    }
}

/// Asserts that every edge reaches a replica, and every node the registry. Neither counts a visit.
async fn assert_site_answers(cluster: &Cluster) {
    for edge in cluster.addresses(80) {
        let reply = deadline("an answer", ANSWER, get(edge, "/healthz")).await.expect("an answer");
        assert_eq!(reply.status, 200, "through {edge}: {}", reply.text());
    }
    for host in &cluster.hosts {
        let registry = "curl --fail --silent --show-error --max-time 10 http://127.0.0.1:5000/v2/";
        host.run(registry).await.unwrap_or_else(|error| panic!("{}: the registry: {error}", host.name));
    }
}

/// Whether the first node reaches port 8000 of the second one.
async fn reaches_next(cluster: &Cluster) -> bool {
    let next = cluster.hosts[1].address;
    let ask = format!("curl --silent --output /dev/null --max-time 5 http://{next}:8000/healthz");
    cluster.hosts[0].run(&ask).await.is_ok()
}
