//! A new edge takes over the sockets of the one that runs, by a Unix socket.

mod interrupted;
mod user;

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
};

use http::StatusCode;
use tempfile::TempDir;
use tests::{
    client::{self, Connection, get},
    ledger::replacement::Replacement,
    port,
    process::Process,
    upstream::Upstream,
    wait::{SOON, eventually},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::{Edge, list, run, write};

/// The edges of one place: each takes over from the one before.
struct Place {
    folder: TempDir,
    upstream: Upstream,
}

impl Place {
    async fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), upstream: Upstream::start().await }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("takeover.sock")
    }

    /// A configuration with these addresses.
    fn config(&self, addresses: &[SocketAddr]) -> String {
        format!(
            "takeover = \"{}\"\n[[listener]]\naddress = {}\n[pool.web]\nendpoints = \"{}\"\nhealth = false\n",
            self.socket().display(),
            list(addresses),
            self.upstream.address()
        )
    }

    async fn start(&self, addresses: &[SocketAddr]) -> Edge {
        Edge::start(&self.config(addresses)).await
    }

    /// Starts an edge that finds no endpoint, and so needs two seconds until it is ready. Returns when it has the sockets.
    async fn start_slowly(&self, silent: &UdpSocket, address: SocketAddr) -> Edge {
        let config = self.config(&[address]).replace(&self.upstream.address().to_string(), "web.example:80");
        let dns = silent.local_addr().unwrap();
        Edge::start(&format!("{config}[dns]\nservers = \"{dns}\"\n")).await
    }
}

fn fresh() -> SocketAddr {
    ([127, 0, 0, 1], port::free()).into()
}

async fn is_served(address: SocketAddr) -> bool {
    get(address, "/").await.is_ok_and(|reply| reply.status == StatusCode::OK)
}

async fn is_refused(address: SocketAddr) -> bool {
    matches!(Connection::http1(address).await, Err(client::Error::Connect(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_and_the_edge_stays_ready_while_edges_replace_each_other() {
    let outcome = Replacement { times: 5, rate: 500, between: 300 }.run().await;
    let totals = &outcome.totals;
    assert_eq!((totals.failed_gets, totals.failed_posts, totals.posts_twice), (0, 0, 0), "{outcome:#?}");
    assert!(totals.requests >= 1800 && outcome.connections > 500, "{outcome:#?}");
    assert!(outcome.not_ready.is_empty(), "{outcome:#?}");
}

#[tokio::test]
async fn addresses_that_only_one_of_two_edges_has_are_closed_by_the_old_and_bound_by_the_new() {
    let place = Place::new().await;
    let [kept, old, new] = [(); 3].map(|()| fresh());
    let mut first = place.start(&[kept, old]).await;
    let mut second = place.start(&[kept, new]).await;
    assert_eq!(first.process.exit(SOON).await.code(), Some(0));
    assert!(is_served(kept).await && is_served(new).await && is_refused(old).await);
    // What was taken over ends with its listener.
    let outcome = second.reload(&place.config(&[new])).await;
    assert!(outcome.contains("is in use"), "{outcome}");
    eventually("the end of the listener", SOON, async || is_refused(kept).await).await;
    assert!(is_served(new).await);
}

#[tokio::test]
async fn an_address_that_includes_the_old_one_can_be_bound() {
    let place = Place::new().await;
    let address = fresh();
    let mut first = place.start(&[address]).await;
    let _second = place.start(&[([0, 0, 0, 0], address.port()).into()]).await;
    assert_eq!(first.process.exit(SOON).await.code(), Some(0));
    assert!(is_served(address).await);
}

#[tokio::test]
async fn edges_that_start_at_once_take_over_one_after_the_other() {
    let place = Place::new().await;
    let address = fresh();
    let mut first = place.start(&[address]).await;
    let config = place.config(&[address]);
    let (second, third) = tokio::join!(Edge::start(&config), Edge::start(&config));
    assert_eq!(first.process.exit(SOON).await.code(), Some(0));
    let mut both = [second, third];
    let mut one_ends = async || both.iter_mut().filter_map(|edge| edge.process.exited()).count() == 1;
    eventually("the end of one of them", SOON, &mut one_ends).await;
    assert!(is_served(address).await);
    let mut left: Vec<_> =
        both.into_iter().filter_map(|mut edge| edge.process.exited().is_none().then_some(edge)).collect();
    assert_eq!(left[0].drain(SOON).await, Some(0));
    assert!(is_refused(address).await);
}

#[tokio::test]
async fn a_socket_that_a_killed_edge_left_is_replaced_and_an_orderly_end_removes_it() {
    let place = Place::new().await;
    let address = fresh();
    let mut first = place.start(&[address]).await;
    let found = fs::metadata(place.socket()).unwrap();
    assert!(found.file_type().is_socket() && found.permissions().mode() & 0o777 == 0o600, "{found:?}");
    first.process.kill();
    assert!(place.socket().exists());
    let mut second = place.start(&[address]).await;
    let mut third = place.start(&[address]).await;
    assert_eq!(second.process.exit(SOON).await.code(), Some(0));
    assert!(place.socket().exists() && is_served(address).await);
    assert_eq!(third.drain(SOON).await, Some(0));
    assert!(!place.socket().exists());
}

#[tokio::test]
async fn a_path_that_is_no_socket_is_an_error() {
    let place = Place::new().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(place.socket(), "precious").unwrap();
    write(folder.path(), &place.config(&[fresh()]));
    let (status, output) = run(folder.path()).start().output(SOON).await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(output.contains("is there, but is not a socket"), "{output}");
    assert_eq!(fs::read_to_string(place.socket()).unwrap(), "precious");
}

#[tokio::test]
async fn another_version_of_the_protocol_is_refused() {
    let place = Place::new().await;
    let address = fresh();
    let _edge = place.start(&[address]).await;
    for (hello, expected) in [("edge-takeover 2\n", "refused it has version 1"), ("GET / HTTP/1.1\r\n", ""), ("", "")] {
        let mut stream = UnixStream::connect(place.socket()).await.unwrap();
        stream.write_all(hello.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(expected) && answer.is_empty() == expected.is_empty(), "{hello:?}: {answer:?}");
    }
    // None of that keeps the next edge away.
    assert!(is_served(address).await);
    let _next = place.start(&[address]).await;
}

#[tokio::test]
async fn an_edge_serves_for_the_drain_delay_while_it_is_not_ready_and_can_be_replaced() {
    let place = Place::new().await;
    let address = fresh();
    let delayed = format!("drain_delay = \"1h\"\n{}", place.config(&[address]));
    let mut first = Edge::start(&delayed).await;
    first.process.terminate();
    first.process.line("the drain begins after the delay").await;
    assert_eq!(get(first.admin, "/readyz").await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(is_served(address).await);
    let _second = place.start(&[address]).await;
    assert_eq!(first.process.exit(SOON).await.code(), Some(0));

    let place = Place::new().await;
    let address = fresh();
    let mut alone = Edge::start(&format!("drain_delay = \"100ms\"\n{}", place.config(&[address]))).await;
    assert_eq!(alone.drain(SOON).await, Some(0));
    assert!(is_refused(address).await);
}

#[tokio::test]
async fn check_accepts_the_keys_and_rejects_a_path_that_is_too_long() {
    let folder = tempfile::tempdir().unwrap();
    let check = async |config: &str| {
        write(folder.path(), config);
        let file: &Path = &folder.path().join("edge.toml");
        Process::ours("edge").args(["check", "--config"]).arg(file).start().output(SOON).await
    };
    let rest = "drain_delay = \"5s\"\n[[listener]]\naddress = \":80\"\n[pool.web]\nendpoints = \"web:80\"\n";
    let (status, output) = check(&format!("takeover = \"/run/edge/takeover.sock\"\n{rest}")).await;
    assert_eq!(status.code(), Some(0), "{output}");
    assert!(output.contains("takeover = \"/run/edge/takeover.sock\""), "{output}");
    let (status, output) = check(&format!("takeover = \"/{}\"\n{rest}", "x".repeat(107))).await;
    assert_eq!(status.code(), Some(2), "{output}");
    assert!(output.contains("edge.toml:1:12: takeover:") && output.contains("at most 107"), "{output}");
}
