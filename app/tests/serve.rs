//! The server's limits and its drain, on real sockets in this process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    io::{BufReader, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use app::{App, Counter, Limits, Options, RedisConfig, StoreConfig};
use support::{connect, get, receive, send, wait_for};
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle};

/// An app in a runtime of its own, so that a test can block.
struct Served {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<std::io::Result<()>>,
    runtime: Runtime,
    _folder: TempDir,
}

impl Served {
    fn in_file(options: Options) -> Self {
        Self::start(options, |folder| StoreConfig::File(folder.path().join("hits.redb")))
    }

    /// On a Redis that accepts connections and never says a word.
    fn on_silence(options: Options) -> Self {
        Self::start(options, |folder| {
            let socket = folder.path().join("redis.sock");
            let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            std::thread::spawn(move || {
                let mut open = Vec::new();
                listener.incoming().for_each(|stream| open.push(stream));
            });
            let url = format!("unix://{}", socket.display());
            StoreConfig::Redis(RedisConfig::parse(&url, None).unwrap())
        })
    }

    fn start(options: Options, store: impl FnOnce(&TempDir) -> StoreConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder);
        let runtime = Runtime::new().unwrap();
        let (stop, stopped) = oneshot::channel();
        let (address, ended) = runtime.block_on(async {
            let counter = Counter::open(&store, Limits::default()).unwrap();
            let app = App::new(counter, "node1", options);
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            (address, tokio::spawn(app::serve(listener, app, async { drop(stopped.await) })))
        });
        Self { address, stop: Some(stop), ended, runtime, _folder: folder }
    }

    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits for the server to end.
    fn end(mut self) {
        let ended = async { tokio::time::timeout(support::PATIENCE, &mut self.ended).await };
        self.runtime.block_on(ended).unwrap().unwrap().unwrap();
    }
}

fn metric(address: SocketAddr, name: &str) -> String {
    let text = get(address, "/metrics").body;
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.rsplit(' ').next().unwrap().to_owned()
}

/// Whether the other side has closed the connection.
fn is_closed(mut stream: &std::net::TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    match stream.read(&mut [0; 1]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_header_that_does_not_come_closes_the_connection() {
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
fn more_connections_than_allowed_wait_for_a_free_place() {
    let served = Served::in_file(Options { max_connections: 1, ..Options::default() });
    let mut first = BufReader::new(connect(served.address));
    send(first.get_mut(), "/", "");
    assert_eq!(receive(&mut first).number(), 1);
    let mut second = BufReader::new(connect(served.address));
    send(second.get_mut(), "/", "");
    send(first.get_mut(), "/", "");
    assert_eq!(receive(&mut first).number(), 2, "the first is served, the second waits");
    drop(first);
    assert_eq!(receive(&mut second).number(), 3);
}

#[test]
fn a_request_under_way_is_finished_before_the_end() {
    let mut served = Served::on_silence(Options::default());
    let mut stream = BufReader::new(connect(served.address));
    send(stream.get_mut(), "/", "");
    wait_for("the request to be under way", || {
        // The request for the metrics is one, too.
        (metric(served.address, "app_in_flight_requests") == "2").then_some(())
    });
    served.stop();
    assert_eq!(receive(&mut stream).status, 503);
    served.end();
}

#[test]
fn a_request_that_takes_too_long_is_cut_off_after_the_grace_period() {
    let mut served = Served::on_silence(Options { grace: SHORT, ..Options::default() });
    let mut stream = connect(served.address);
    send(&mut stream, "/", "");
    wait_for("the request to be under way", || (metric(served.address, "app_in_flight_requests") == "2").then_some(()));
    let start = Instant::now();
    served.stop();
    served.end();
    assert!(start.elapsed() < Duration::from_millis(800), "{:?}", start.elapsed());
    assert!(is_closed(&stream));
}

#[test]
fn new_connections_are_refused_after_the_drain_began() {
    let mut served = Served::in_file(Options::default());
    let address = served.address;
    assert_eq!(get(address, "/").number(), 1);
    served.stop();
    served.end();
    std::net::TcpStream::connect(address).unwrap_err();
}
