//! The budget of memory: clients that make the edge hold much of it, and everybody else.

use std::{fs, future::pending, net::SocketAddr, time::Duration};

use http::{Method, Request, StatusCode};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tests::{
    client::{self, Connection, get, raw::Raw, tls::Offer},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually, pause},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::{
    Edge, LISTENER,
    frames::{CONTINUATION, Frames, HEADERS, frame},
    list,
    raw_endpoint::RawEndpoint,
    refused::refusals,
    unchecked,
};

const MIB: u64 = 1 << 20;

/// A configuration with a limit of memory.
fn limited(limits: &str, endpoint: SocketAddr) -> String {
    format!("[limits]\n{limits}\n{}", unchecked(&[endpoint]))
}

/// Returns the resident memory of the edge in bytes.
fn resident(edge: &Edge) -> u64 {
    let path = format!("/proc/{}/status", edge.process.pid().as_raw_nonzero());
    let status = fs::read_to_string(path).expect("the edge runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

/// Returns the memory that the edge counts, in bytes.
async fn counted(edge: &Edge) -> u64 {
    edge.status().await["memory"]["used_bytes"].as_u64().expect("a number")
}

/// Returns the sum of a number over the workers.
async fn sum(edge: &Edge, number: &str) -> u64 {
    let status = edge.status().await;
    let workers = status["workers"].as_array().expect("a list");
    workers.iter().filter_map(|worker| worker[number].as_u64()).sum()
}

/// Asks for `path` on 100 streams of an HTTP/2 connection and reads none of the responses, until the edge closes the
/// connection.
async fn read_nothing(address: SocketAddr, path: &'static str) {
    let Ok(stream) = TcpStream::connect(address).await else { return };
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1_u32).initial_connection_window_size(65_535_u32);
    let Ok((sender, connection)) = builder.handshake(TokioIo::new(stream)).await else { return };
    let mut streams = JoinSet::new();
    for _ in 0..100 {
        let mut sender = sender.clone();
        streams.spawn(async move {
            let request = Request::builder().method(Method::GET).uri(format!("http://a.example{path}"));
            let request = request.body(client::full(String::new())).expect("a request");
            if sender.ready().await.is_ok()
                && let Ok(_unread) = sender.send_request(request).await
            {
                pending::<()>().await;
            }
        });
    }
    // The outcome does not matter: the connection has ended.
    let _outcome = connection.await;
}

/// Waits until another client is served this many times.
async fn serves_others(edge: &Edge, times: usize) {
    for _ in 0..times {
        eventually("a response to another client", SOON, async || {
            get(edge.address(), "/").await.is_ok_and(|reply| reply.status == StatusCode::OK)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_read_nothing_take_no_more_than_the_limit_and_others_are_served() {
    let upstream = Upstream::start().await;
    upstream.on("/long", Behaviour::Body(1 << 20));
    let edge = Edge::start(&limited("memory = \"32MiB\"", upstream.address())).await;
    serves_others(&edge, 1).await;
    let before = resident(&edge);
    let mut attack = JoinSet::new();
    for _ in 0..20 {
        let address = edge.address();
        attack.spawn(async move {
            loop {
                read_nothing(address, "/long").await;
                pause(Duration::from_millis(10)).await;
            }
        });
    }
    eventually("the first closed connection", SOON, async || sum(&edge, "shed").await > 0).await;
    for _ in 0..20 {
        serves_others(&edge, 1).await;
        let grown = resident(&edge).saturating_sub(before);
        assert!(grown < 48 * MIB, "{} MiB more than before", grown / MIB);
        let counted = counted(&edge).await;
        assert!(counted <= 33 * MIB, "{} MiB are counted", counted / MIB);
    }
    attack.shutdown().await;
    eventually("the release of what was counted", SOON, async || counted(&edge).await < 4 * MIB).await;
    eventually("the return of the memory", SOON, async || resident(&edge) < before + 16 * MIB).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_unfinished_heads_take_little_memory_and_give_it_back() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&limited("memory = \"64MiB\"", upstream.address())).await;
    serves_others(&edge, 1).await;
    let before = resident(&edge);
    let mut clients = Vec::new();
    for _ in 0..2_000 {
        let mut client = TcpStream::connect(edge.address()).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Unfinished: ").await.unwrap();
        clients.push(client);
    }
    eventually("2,000 open connections", SOON, async || sum(&edge, "open").await >= 2_000).await;
    serves_others(&edge, 3).await;
    let grown = resident(&edge).saturating_sub(before);
    // A block of 64 KiB for each would be 125 MiB.
    assert!(grown < 32 * MIB, "{} MiB more than before", grown / MIB);
    drop(clients);
    eventually("the return of the memory", SOON, async || resident(&edge) < before + 12 * MIB).await;
}

#[tokio::test]
async fn handshakes_that_never_end_are_closed_when_memory_runs_out() {
    let upstream = Upstream::start().await;
    let pool = format!("[pool.web]\nendpoints = {}\nhealth = false\n", list(&[upstream.address()]));
    let limits = "[limits]\nmemory = \"8MiB\"\n[timeouts]\nhandshake = \"5min\"\n";
    let edge = Edge::start(&format!("{limits}{LISTENER}[listener.tls]\n{pool}")).await;
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(TcpStream::connect(edge.address()).await.unwrap());
    }
    eventually("the first closed handshake", SOON, async || sum(&edge, "shed").await > 0).await;
    assert!(refusals(&edge, "shed").await > 0);
    let offer = Offer::accepting_any_certificate;
    let served = async || Connection::https(edge.address(), "localhost", offer()).await.is_ok();
    eventually("the handshake of another client", SOON, served).await;
}

/// Accepts every upgrade and then sends without end.
async fn send_for_ever(listener: TcpListener) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        connections.spawn(async move {
            let head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: any\r\n\r\n";
            if stream.read(&mut [0; 1024]).await.is_ok() && stream.write_all(head).await.is_ok() {
                while stream.write_all(&[0; 64 * 1024]).await.is_ok() {}
            }
        });
    }
}

#[tokio::test]
async fn tunnels_whose_clients_read_nothing_are_closed_when_memory_runs_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = Edge::start(&limited("memory = \"8MiB\"", listener.local_addr().unwrap())).await;
    let mut endpoint = JoinSet::new();
    endpoint.spawn(send_for_ever(listener));
    let mut clients = Vec::new();
    for _ in 0..120 {
        let mut client = TcpStream::connect(edge.address()).await.unwrap();
        // The last ones may be refused.
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: any\r\n\r\n";
        client.write_all(request).await.unwrap_or(());
        clients.push(client);
    }
    eventually("the first closed tunnel", SOON, async || sum(&edge, "shed").await > 0).await;
}

#[tokio::test]
async fn a_connection_of_http2_does_not_keep_the_buffer_of_http1() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&limited("memory = \"100MiB\"", upstream.address())).await;
    let before = counted(&edge).await;
    let mut connections = Vec::new();
    for _ in 0..100 {
        let mut connection = Connection::http2(edge.address()).await.unwrap();
        assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
        connections.push(connection);
    }
    // Unused blocks are freed after a second. 64 KiB for each connection would be 6 MiB more.
    eventually("little memory for each connection", SOON, async || counted(&edge).await < before + 6 * MIB).await;
}

#[tokio::test]
async fn an_unfinished_header_block_of_http2_is_counted() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&limited("memory = \"100MiB\"", upstream.address())).await;
    let before = counted(&edge).await;
    let part = [0; 16 * 1024];
    let unfinished = [frame(HEADERS, 0, 1, &part), frame(CONTINUATION, 0, 1, &part).repeat(5)].concat();
    let mut connections = Vec::new();
    for _ in 0..40 {
        let mut connection = Frames::open(edge.address()).await;
        connection.send(&unfinished).await;
        connections.push(connection);
    }
    // The state of 40 connections alone is 1 MiB.
    eventually("the blocks in the count", SOON, async || counted(&edge).await > before + 6 * MIB).await;
    drop(connections);
    eventually("the release of the blocks", SOON, async || counted(&edge).await < before + 4 * MIB).await;
}

#[tokio::test]
async fn an_upload_below_the_minimum_rate_ends_although_bytes_arrive() {
    let endpoint = RawEndpoint::start().await;
    let config = format!("[timeouts]\nbody_idle = \"600ms\"\n{}", limited("min_rate = 1000", endpoint.address()));
    let edge = Edge::start(&config).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000\r\n\r\n").await;
    let mut upstream = endpoint.accept().await;
    upstream.until("\r\n\r\n").await;
    let answered = deadline("the response", SOON, async {
        loop {
            // Every byte arrives well within the timeout.
            client.try_send(b"x").await;
            if let Ok(head) = timeout(Duration::from_millis(50), client.until("\r\n\r\n")).await {
                return head;
            }
        }
    });
    let head = answered.await;
    assert!(head.starts_with("HTTP/1.1 408 "), "{head}");
}

#[tokio::test]
async fn a_fast_upload_with_pauses_is_passed_on() {
    let upstream = Upstream::start().await;
    let config = format!("[timeouts]\nbody_idle = \"2s\"\n{}", limited("min_rate = 1000", upstream.address()));
    let edge = Edge::start(&config).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 10000\r\n\r\n").await;
    // In total they take longer than the timeout.
    for _ in 0..5 {
        pause(Duration::from_millis(600)).await;
        client.send(&[b'x'; 2_000]).await;
    }
    let head = deadline("the response", SOON, client.until("\r\n\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}
