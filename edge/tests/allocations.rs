//! The number of allocations of a typical request. It does not depend on the machine's load, and a clone or a `format!`
//! that slips into a request's path shows here first.
//!
//! This is a test binary with a single test, because the allocations of all threads of the process are counted. The
//! client and the endpoint allocate nothing during the measurement.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    alloc::System,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    num::NonZeroUsize,
    thread,
    time::Duration,
};

use edge::{
    config::{AccessLog, Config, Listener, Pool, Source},
    control::{Command, Edge},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::sync::mpsc;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const REQUEST: &[u8] =
    b"GET /path?query=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nHello World!";
const REQUESTS: usize = 1000;
const ROUNDS: usize = 8;
/// The expected allocations of a request: its state, and the future that answers it. A connection that waits for the
/// next request holds neither.
const EACH: usize = 2;

/// Starts a server that responds to every head on every connection, and returns its address.
fn endpoint() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let (mut stream, mut buffer, mut seen) = (stream.unwrap(), [0; 4096], 0);
                stream.set_nodelay(true).unwrap();
                while let Ok(count @ 1..) = stream.read(&mut buffer[seen..]) {
                    seen += count;
                    if buffer[..seen].ends_with(b"\r\n\r\n") {
                        stream.write_all(RESPONSE).unwrap();
                        seen = 0;
                    }
                }
            });
        }
    });
    address
}

/// Sends one request and reads the whole response.
fn visit(client: &mut TcpStream) {
    client.write_all(REQUEST).unwrap();
    let (mut buffer, mut seen) = ([0; 4096], 0);
    while !buffer[..seen].ends_with(b"Hello World!") {
        match client.read(&mut buffer[seen..]) {
            Ok(count @ 1..) => seen += count,
            ended => panic!("the connection ended: {ended:?}"),
        }
    }
    assert!(buffer.starts_with(b"HTTP/1.1 200 "));
}

#[test]
fn a_typical_request_allocates_twice() {
    let folder = tempfile::tempdir().unwrap();
    let listener = Listener::plain("127.0.0.1:0".parse().unwrap());
    let pool = Pool::new("web", vec![Source::Address(endpoint())]);
    let config = Config {
        workers: NonZeroUsize::MIN,
        access_log: AccessLog::File(folder.path().join("log")),
        ..Config::simple(vec![listener], pool)
    };
    let edge = Edge::bind(config).unwrap();
    let address = edge.addresses()[0];
    let (commands, inbox) = mpsc::unbounded_channel();
    let running = thread::spawn(move || edge.run(inbox));

    let mut client = TcpStream::connect(address).unwrap();
    client.set_nodelay(true).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // These requests open the connections and fill the buffer pools.
    (0..REQUESTS).for_each(|_| visit(&mut client));
    // The lowest count of several rounds is used: health checks and sweeps run at the same time, and the memory of log
    // lines returns only when their writer gets processor time.
    let each = (0..ROUNDS).map(|_| {
        let region = Region::new(ALLOCATOR);
        (0..REQUESTS).for_each(|_| visit(&mut client));
        let change = region.change();
        (change.allocations + change.reallocations) as f64 / REQUESTS as f64
    });
    let each = each.fold(f64::INFINITY, f64::min);
    println!("{each:.3} allocations per request");
    assert!(each < EACH as f64 + 0.3, "{each} allocations per request");
    assert!(each > EACH as f64 - 0.1, "fewer than expected, {each}: lower the bound");

    drop(client);
    commands.send(Command::Drain).unwrap();
    running.join().unwrap().unwrap();
}
