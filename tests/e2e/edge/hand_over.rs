//! One edge replaces another on the same address and no connection is refused: by `reuse_port`, and by sockets that
//! both inherit.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use http::StatusCode;
use tests::{
    client::{get, load::Load, raw::Raw},
    process::{Plan, Process, binary},
    upstream::Upstream,
    wait::{SOON, eventually},
};
use tokio::task::JoinSet;

use super::{Edge, assert_all_ok, list, run, write};

/// A configuration with one listener, at `address` and with these keys, and an endpoint that is not checked.
fn at(address: &str, keys: &str, endpoint: SocketAddr) -> String {
    let [address, endpoint] = [list(&[address]), list(&[endpoint])];
    format!("[[listener]]\naddress = {address}\n{keys}[pool.web]\nendpoints = {endpoint}\nhealth = false\n")
}

const SHARED: &str = "reuse_port = true\n";

/// Clients that open a connection for each request.
struct Visitors {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: JoinSet<Vec<String>>,
}

impl Visitors {
    fn start(address: SocketAddr) -> Self {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            tasks.spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Relaxed) {
                    match get(address, "/").await {
                        Ok(reply) if reply.status == StatusCode::OK => {}
                        outcome => failures.push(format!("{outcome:?}")),
                    }
                    done.fetch_add(1, Relaxed);
                }
                failures
            });
        }
        Self { stop, done, tasks }
    }

    /// Waits for some more requests.
    async fn go_on(&self) {
        let before = self.done.load(Relaxed);
        eventually("requests", SOON, async || self.done.load(Relaxed) > before + 200).await;
    }

    /// Asserts that each request was answered.
    async fn assert_all_answered(self) {
        self.stop.store(true, Relaxed);
        let failures: Vec<String> = self.tasks.join_all().await.into_iter().flatten().collect();
        assert!(failures.is_empty(), "{} of {:?} failed: {:?}", failures.len(), self.done, failures.first());
    }
}

/// Replaces the edge four times under load. `start` starts one at the address of the load.
async fn replace_under_load(first: Edge, start: impl AsyncFn() -> Edge) {
    let address = first.address();
    let (load, visitors) = (Load::on(&[address]).connections(8).start(), Visitors::start(address));
    let mut edge = first;
    for _ in 0..4 {
        visitors.go_on().await;
        let successor = start().await;
        assert_eq!(edge.drain(SOON).await, Some(0));
        edge = successor;
    }
    visitors.go_on().await;
    visitors.assert_all_answered().await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn no_request_fails_when_an_edge_replaces_another_that_shares_its_port() {
    let upstream = Upstream::start().await;
    let first = Edge::start(&at("127.0.0.1:0", SHARED, upstream.address())).await;
    let config = at(&first.address().to_string(), SHARED, upstream.address());
    replace_under_load(first, async || Edge::start(&config).await).await;
}

#[tokio::test]
async fn no_request_fails_when_an_edge_replaces_another_with_the_same_inherited_socket() {
    let upstream = Upstream::start().await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = at(&socket.local_addr().unwrap().to_string(), "", upstream.address());
    let start = async || Edge::start_by(&config, |folder| inheriting(&socket, folder)).await;
    replace_under_load(start().await, start).await;
}

/// Prepares an edge that inherits a socket as systemd would pass it.
fn inheriting(socket: &TcpListener, folder: &Path) -> Plan {
    let script = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=edge.socket; exec \"$@\"";
    Process::of("sh")
        .args(["-c", script, "sh"])
        .arg(binary("edge"))
        .args(["run", "--admin", "127.0.0.1:0", "--workers", "2", "--config"])
        .arg(folder.join("edge.toml"))
        .stdin(std::os::fd::OwnedFd::from(socket.try_clone().unwrap()))
}

#[tokio::test]
async fn a_connection_between_two_edges_with_the_same_inherited_socket_is_answered_by_the_second() {
    let upstream = Upstream::start().await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = at(&socket.local_addr().unwrap().to_string(), "", upstream.address());
    let mut first = Edge::start_by(&config, |folder| inheriting(&socket, folder)).await;
    assert_eq!(first.drain(SOON).await, Some(0));
    let mut waiting = Raw::open(socket.local_addr().unwrap()).await;
    waiting.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let _second = Edge::start_by(&config, |folder| inheriting(&socket, folder)).await;
    let answer = waiting.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_connection_to_an_inherited_socket_waits_until_a_reload_adds_its_listener_again() {
    let upstream = Upstream::start().await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let with = at(&address.to_string(), "", upstream.address());
    let mut edge = Edge::start_by(&with, |folder| inheriting(&socket, folder)).await;
    assert_eq!(get(address, "/").await.unwrap().status, StatusCode::OK);
    let outcome = edge.reload(&at("127.0.0.1:0", "", upstream.address())).await;
    assert!(outcome.contains("is in use"), "{outcome}");
    edge.process.line("until then, clients that connect there wait").await;
    let mut waiting = Raw::open(address).await;
    waiting.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let outcome = edge.reload(&with).await;
    assert!(outcome.contains("is in use"), "{outcome}");
    let answer = waiting.rest().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn an_inherited_socket_that_no_listener_has_is_an_error() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &at("127.0.0.1:0", "", address));
    let (status, output) = inheriting(&socket, folder.path()).start().output(SOON).await;
    assert_eq!(status.code(), Some(2), "{output}");
    assert!(
        output.contains(&format!("the inherited socket {address} (edge.socket) belongs to no listener")),
        "{output}"
    );
}

#[tokio::test]
async fn a_file_that_is_inherited_but_no_listening_socket_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &at("127.0.0.1:0", "", "127.0.0.1:9".parse().unwrap()));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let bound = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let plan = inheriting(&socket, folder.path()).stdin(std::os::fd::OwnedFd::from(bound));
    let (status, output) = plan.start().output(SOON).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("is not a listening TCP socket"), "{output}");
}

/// Prepares an edge with this admin address.
fn with_admin(address: &str, folder: &Path) -> Plan {
    Process::ours("edge").args(["run", "--admin", address, "--workers", "2", "--config"]).arg(folder.join("edge.toml"))
}

#[tokio::test]
async fn a_successor_serves_while_its_predecessor_drains_and_gets_the_admin_port_from_it() {
    let upstream = Upstream::start().await;
    let mut first = Edge::start(&at("127.0.0.1:0", "", upstream.address())).await;
    upstream.hang();
    let mut request = Raw::open(first.address()).await;
    request.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    first.process.terminate();
    first.stops_listening().await;
    // Nobody else listens yet, so the status of the drain can still be read.
    assert_eq!(first.status().await["draining"], true);

    let other = Upstream::start().await;
    let config = at(&first.address().to_string(), "", other.address());
    let admin = first.admin.to_string();
    let second = Edge::start_by(&config, |folder| with_admin(&admin, folder)).await;
    assert_eq!(get(second.address(), "/").await.unwrap().status, StatusCode::OK);
    assert_eq!(second.admin, first.admin);
    assert_eq!(second.status().await["draining"], false);
    let lines = second.process.lines();
    assert!(lines.iter().any(|line| line.contains("perhaps an edge that drains")), "{lines:#?}");
    assert_eq!(first.process.exited(), None);

    upstream.resume();
    assert!(request.rest().await.starts_with("HTTP/1.1 200"));
    assert_eq!(first.process.exit(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn an_admin_address_in_use_delays_only_the_admin_listener() {
    let upstream = Upstream::start().await;
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = held.local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = at("127.0.0.1:0", "", upstream.address());
    write(folder.path(), &format!("admin = \"{admin}\"\n{config}"));
    let mut process = Process::ours("edge").args(["run", "--config"]).arg(folder.path().join("edge.toml")).start();
    let address = super::address(&process.line("\"listening\"").await).unwrap();
    process.line("another process uses the address of the status page").await;
    assert_eq!(get(address, "/").await.unwrap().status, StatusCode::OK);
    drop(held);
    assert_eq!(super::address(&process.line("\"status page").await), Some(admin));
    eventually("readiness", SOON, async || get(admin, "/readyz").await.unwrap().status == StatusCode::OK).await;
    // A reload that wants the address knows who has it.
    write(folder.path(), &format!("admin = \"off\"\n{config}[[listener]]\naddress = \"{admin}\"\n"));
    process.hang_up();
    process.line("the status page of this edge has the address").await;
}

#[tokio::test]
async fn an_admin_address_that_this_host_lacks_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &at("127.0.0.1:0", "", "127.0.0.1:9".parse().unwrap()));
    let (status, output) = with_admin("192.0.2.1:9901", folder.path()).start().output(SOON).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("cannot listen on 192.0.2.1:9901"), "{output}");
}

#[tokio::test]
async fn a_second_edge_that_may_not_share_the_port_is_refused() {
    let upstream = Upstream::start().await;
    let first = Edge::start(&at("127.0.0.1:0", SHARED, upstream.address())).await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &at(&first.address().to_string(), "", upstream.address()));
    let (status, output) = run(folder.path()).start().output(SOON).await;
    assert_eq!(status.code(), Some(1), "{output}");
    let words = format!("cannot listen on {}: another process uses this port", first.address());
    assert!(output.contains(&words), "{output}");
}
