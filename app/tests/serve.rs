//! The server's limits, over real sockets in this process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    future::pending,
    io::{BufReader, Read, Write},
    net::{Shutdown, SocketAddr},
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use app::{App, Counter, Limits, Options, StoreConfig};
use support::{connect, get, receive, send, wait_for};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};

/// An app with its own runtime, so that a test can block. Dropping it ends the app.
struct Served {
    address: SocketAddr,
    _runtime: Runtime,
    _folder: TempDir,
}

impl Served {
    fn in_file(options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = StoreConfig::File(folder.path().join("hits.redb"));
        let runtime = Runtime::new().unwrap();
        let address = runtime.block_on(async {
            let counter = Counter::open(&store, Limits::default()).unwrap();
            let app = App::new(counter, "node1", options);
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            tokio::spawn(app::serve(listener, app, pending()));
            address
        });
        Self { address, _runtime: runtime, _folder: folder }
    }
}

/// Returns whether the peer has closed the connection.
fn is_closed(mut stream: &std::net::TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    match stream.read(&mut [0; 1]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_header_that_does_not_arrive_closes_the_connection() {
    let served = Served::in_file(Options { header_timeout: SHORT, ..Options::default() });
    let silent = connect(served.address);
    let mut slow = connect(served.address);
    slow.write_all(b"GET / HTTP/1.1\r\nhost: te").unwrap();
    for stream in [silent, slow] {
        wait_for("the connection to close", || is_closed(&stream).then_some(()));
    }
    assert_eq!(get(served.address, "/").number(), 1);
}

#[test]
fn an_idle_connection_outlives_the_header_timeout_but_not_its_own() {
    let served = Served::in_file(Options { header_timeout: SHORT, idle_timeout: 5 * SHORT, ..Options::default() });
    let mut stream = BufReader::new(connect(served.address));
    send(stream.get_mut(), "/", "");
    let start = Instant::now();
    receive(&mut stream);
    wait_for("the connection to close", || is_closed(stream.get_ref()).then_some(()));
    assert!(start.elapsed() >= 5 * SHORT, "{:?}", start.elapsed());
}

#[test]
fn at_the_limit_a_new_connection_closes_the_one_idle_for_longest() {
    let two = NonZeroUsize::new(2).unwrap();
    let served = Served::in_file(Options { max_connections: two, ..Options::default() });
    let mut idle = Vec::new();
    for number in 1..=2 {
        let mut stream = BufReader::new(connect(served.address));
        send(stream.get_mut(), "/", "");
        assert_eq!(receive(&mut stream).number(), number);
        idle.push(stream);
    }
    // On a third connection, as from the health check.
    assert_eq!(get(served.address, "/healthz").status, 200);
    assert_eq!(idle[0].read(&mut [0]).unwrap(), 0, "the older connection was not closed");
    send(idle[1].get_mut(), "/", "");
    assert_eq!(receive(&mut idle[1]).number(), 3);
}

#[test]
fn silent_connections_do_not_keep_others_out() {
    let two = NonZeroUsize::new(2).unwrap();
    // The header timeout is too long to make room.
    let header_timeout = Duration::from_secs(60 * 60);
    let served = Served::in_file(Options { max_connections: two, header_timeout, ..Options::default() });
    let silent: Vec<_> = (0..10).map(|_| connect(served.address)).collect();
    assert_eq!(get(served.address, "/healthz").status, 200);
    drop(silent);
}

#[test]
fn a_client_that_closes_its_sending_side_is_answered() {
    let served = Served::in_file(Options::default());
    for (number, request) in [(1, "GET / HTTP/1.0\r\n\r\n"), (2, "GET / HTTP/1.1\r\nhost: test\r\n\r\n")] {
        let mut stream = connect(served.address);
        stream.write_all(request.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.ends_with(&format!("seen {number} times.\n")), "{request:?}: {text:?}");
    }
}
