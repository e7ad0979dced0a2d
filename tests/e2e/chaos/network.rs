//! The network between hosts, with real connections of a registered process: this one.

use std::time::Duration;

use rustix::process::Pid;
use tests::chaos::network::{Kind, Network};
use tests::port;
use tests::redis::Redis;
use tests::relay::{Link, Relay};
use tests::wait::{SOON, deadline};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long nothing must arrive. An open link delivers well within it.
const SILENCE: Duration = Duration::from_millis(300);

/// A Redis on host 1, which this process reaches as the counter of host 0.
struct Rig {
    _redis: Redis,
    network: Network,
    port: u16,
    _relay: Relay,
}

impl Rig {
    async fn start() -> Self {
        let redis = Redis::start().await;
        let network = Network::new();
        let port = port::free();
        let relay = network.relay(1, Kind::Redis, port, redis.port());
        network.register(rustix::process::getpid(), 0, Kind::App);
        Self { _redis: redis, network, port, _relay: relay }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    async fn assert_new_is_reset(&self) {
        match TcpStream::connect(("127.0.0.1", self.port)).await {
            Ok(mut stream) => assert_ended(&mut stream).await,
            // The reset arrived before the connecting call returned.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut line = [0; 64];
    let size = stream.read(&mut line).await?;
    Ok(String::from_utf8_lossy(&line[..size]).into_owned())
}

async fn ask(stream: &mut TcpStream, command: &str) -> String {
    stream.write_all(command.as_bytes()).await.unwrap();
    deadline("an answer", SOON, read(stream)).await.unwrap()
}

async fn assert_silent(stream: &mut TcpStream) {
    let early = tokio::time::timeout(SILENCE, read(stream)).await;
    assert!(early.is_err(), "{early:?}");
}

/// Asserts that the connection is reset, or ends before the reset arrives.
async fn assert_ended(stream: &mut TcpStream) {
    let end = deadline("the end", SOON, read(stream)).await;
    assert!(end.as_ref().map_or(true, String::is_empty), "{end:?}");
}

#[tokio::test]
async fn data_sent_through_a_silent_link_arrives_when_it_is_healed() {
    let rig = Rig::start().await;
    let mut open = rig.connect().await;
    assert_eq!(ask(&mut open, "INCR a\r\n").await, ":1\r\n");
    rig.network.set(0, 1, Link::Silent);
    open.write_all(b"INCR a\r\n").await.unwrap();
    let mut new = rig.connect().await;
    new.write_all(b"PING\r\n").await.unwrap();
    assert_silent(&mut open).await;
    assert_silent(&mut new).await;
    rig.network.set(0, 1, Link::Open);
    assert_eq!(deadline("the late answer", SOON, read(&mut open)).await.unwrap(), ":2\r\n");
    assert_eq!(deadline("the late answer", SOON, read(&mut new)).await.unwrap(), "+PONG\r\n");
}

#[tokio::test]
async fn a_reset_link_ends_open_and_new_connections() {
    let rig = Rig::start().await;
    let mut open = rig.connect().await;
    assert_eq!(ask(&mut open, "PING\r\n").await, "+PONG\r\n");
    rig.network.set(0, 1, Link::Reset);
    assert_ended(&mut open).await;
    rig.assert_new_is_reset().await;
    rig.network.set(0, 1, Link::Open);
    assert_eq!(ask(&mut rig.connect().await, "PING\r\n").await, "+PONG\r\n");
}

#[tokio::test]
async fn no_connection_misses_a_very_short_reset() {
    let rig = Rig::start().await;
    let mut open = rig.connect().await;
    assert_eq!(ask(&mut open, "PING\r\n").await, "+PONG\r\n");
    rig.network.set(0, 1, Link::Reset);
    rig.network.set(0, 1, Link::Open);
    assert_ended(&mut open).await;
}

#[tokio::test]
async fn links_of_other_hosts_do_not_affect_a_connection() {
    let rig = Rig::start().await;
    rig.network.set(0, 2, Link::Reset);
    rig.network.set(1, 2, Link::Silent);
    assert_eq!(ask(&mut rig.connect().await, "PING\r\n").await, "+PONG\r\n");
}

#[tokio::test]
async fn a_command_whose_reply_is_dropped_is_executed() {
    let rig = Rig::start().await;
    let mut open = rig.connect().await;
    assert_eq!(ask(&mut open, "PING\r\n").await, "+PONG\r\n");
    rig.network.drop_replies_of(Some(1));
    open.write_all(b"INCR a\r\n").await.unwrap();
    assert_silent(&mut open).await;
    rig.network.drop_replies_of(None);
    assert_ended(&mut open).await;
    assert_eq!(ask(&mut rig.connect().await, "GET a\r\n").await, "$1\r\n1\r\n");
}

#[tokio::test]
async fn connections_of_an_unregistered_process_are_reset() {
    let rig = Rig::start().await;
    rig.network.register(Pid::INIT, 0, Kind::App);
    rig.assert_new_is_reset().await;
}
