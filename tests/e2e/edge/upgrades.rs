//! WebSockets and other upgrades, forwarded and rejected.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use tests::{
    client::{raw::Raw, tls::Offer},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use super::{Edge, field, list, raw_endpoint::RawEndpoint, unchecked};

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

async fn connect(edge: SocketAddr) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(edge).await.unwrap();
    client_async("ws://www.example.com/chat", stream).await.unwrap().0
}

/// Sends small and large messages and asserts that each is echoed.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocketStream<S>) {
    for message in
        [Message::text("hello"), Message::binary(vec![0, 255]), Message::binary(vec![7; 3 << 20]), Message::text("bye")]
    {
        socket.send(message.clone()).await.unwrap();
        let echo = deadline("the echo", SOON, socket.next()).await.unwrap().unwrap();
        assert!(echo == message, "the echo differs");
    }
}

#[tokio::test]
async fn messages_pass_both_ways_and_the_clients_close_ends_both_connections() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut socket = connect(edge.address()).await;
    exchange(&mut socket).await;
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = deadline("the end", SOON, socket.next()).await {}
    drop(socket);
    eventually("the end at the upstream", SOON, async || upstream.open_connections() == 0).await;
}

#[tokio::test]
async fn a_websocket_over_tls_is_forwarded() {
    let upstream = Upstream::start().await;
    let config = format!(
        "{}[listener.tls]\n[pool.web]\nendpoints = {}\nhealth = false\n",
        super::LISTENER,
        list(&[upstream.address()])
    );
    let edge = Edge::start(&config).await;
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let offer = Offer::accepting_any_certificate().alpn(&["http/1.1"]);
    let (stream, _) = offer.handshake(stream, "localhost").await.unwrap();
    let (mut socket, _) = client_async("ws://localhost/chat", stream).await.unwrap();
    exchange(&mut socket).await;
}

#[tokio::test]
async fn bytes_sent_directly_after_either_head_are_not_lost() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(&[REQUEST, b"client first"].concat()).await;
    let mut upstream = peer.accept().await;
    let head = upstream.until("\r\n\r\n").await;
    assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"), "{head}");
    upstream.send(&[RESPONSE, b"server first"].concat()).await;
    let head = client.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: websocket"), "{head}");
    client.until("server first").await;
    upstream.until("client first").await;
    // One direction may end before the other.
    client.finish().await;
    upstream.send(b"still here").await;
    client.until("still here").await;
}

#[tokio::test]
async fn a_close_by_the_upstream_closes_the_clients_connection() {
    for reset in [false, true] {
        let peer = RawEndpoint::start().await;
        let edge = Edge::start(&unchecked(&[peer.address()])).await;
        let mut client = Raw::open(edge.address()).await;
        client.send(REQUEST).await;
        let mut upstream = peer.accept().await;
        upstream.until("\r\n\r\n").await;
        upstream.send(&[RESPONSE, b"the end"].concat()).await;
        client.until("the end").await;
        if reset {
            upstream.reset();
        } else {
            drop(upstream);
        }
        assert!(client.closes_within(SOON).await, "reset: {reset}");
    }
}

#[tokio::test]
async fn a_rejected_upgrade_is_passed_on_and_http_continues() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    for status in [200, 400] {
        upstream.on("/chat", Behaviour::Status(status));
        client.send(REQUEST).await;
        let answer = client.until(&format!("status {status}")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}

/// The head of a request to switch protocols that has a body, without its framing.
const WITH_BODY: &str = "POST /attach HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n";

#[tokio::test]
async fn a_tunnel_begins_behind_the_body_of_its_request() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    for (framing, begin, end) in
        [("Content-Length: 5", "hel", "lo"), ("Transfer-Encoding: chunked", "3\r\nhel\r\n", "2\r\nlo\r\n0\r\n\r\n")]
    {
        let mut client = Raw::open(edge.address()).await;
        client.send(format!("{WITH_BODY}{framing}\r\n\r\n{begin}").as_bytes()).await;
        let mut upstream = peer.accept().await;
        let head = upstream.until("\r\n\r\n").await;
        assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: tcp\r\n"), "{head}");
        assert!(head.contains(&framing.to_ascii_lowercase()), "{head}");
        upstream.until(begin).await;
        // The endpoint may agree before it has the whole request.
        upstream.send(&[RESPONSE, b"server first"].concat()).await;
        client.send(format!("{end}client first").as_bytes()).await;
        assert_eq!(upstream.until("client first").await, format!("{end}client first"));
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        client.until("server first").await;
        upstream.send(b"more").await;
        client.until("more").await;
    }
}

#[tokio::test]
async fn a_request_with_a_body_whose_upgrade_is_ignored_is_an_ordinary_one() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    for _ in 0..2 {
        client.send(format!("{WITH_BODY}Content-Length: 5\r\n\r\nhello").as_bytes()).await;
        let head = client.until("\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let echo = serde_json::from_str(&client.until("}").await).unwrap();
        assert_eq!(field(&echo, "upgrade").as_deref(), Some("tcp"));
    }
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_gets_no_tunnel() {
    let peer = RawEndpoint::start().await;
    let timeouts = "[timeouts]\nbody_idle = \"300ms\"\n";
    let edge = Edge::start(&format!("{}{timeouts}", unchecked(&[peer.address()]))).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(format!("{WITH_BODY}Content-Length: 5\r\n\r\nhel").as_bytes()).await;
    let mut upstream = peer.accept().await;
    upstream.until("hel").await;
    upstream.send(RESPONSE).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 408"), "{head}");
    assert!(upstream.closes_within(SOON).await);
}

#[tokio::test]
async fn an_endpoint_that_breaks_off_before_it_has_the_request_gives_no_tunnel_and_has_failed() {
    let peer = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(format!("{WITH_BODY}Content-Length: 5\r\n\r\nhel").as_bytes()).await;
    let mut upstream = peer.accept().await;
    upstream.until("hel").await;
    upstream.send(RESPONSE).await;
    upstream.reset();
    client.send(b"lo").await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 502"), "{head}");
    let status = edge.status().await;
    let endpoint = &status["pools"][0]["endpoints"][0];
    assert_eq!((&endpoint["resets"], &endpoint["responses"]["1xx"]), (&1.into(), &0.into()));
}

#[tokio::test]
async fn an_upgrade_to_h2c_is_not_forwarded() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
        HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    client.send(request).await;
    let head = client.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let echo = serde_json::from_str(&client.until("}").await).unwrap();
    for name in ["upgrade", "connection", "http2-settings"] {
        assert_eq!(field(&echo, name), None, "{name}");
    }
}

#[tokio::test]
async fn an_idle_tunnel_times_out() {
    let upstream = Upstream::start().await;
    let timeouts = "[pool.web.timeouts]\ntunnel_idle = \"2s\"\n";
    let config = format!("access_log = \"stdout\"\n{}{timeouts}", unchecked(&[upstream.address()]));
    let edge = Edge::start(&config).await;
    let mut socket = connect(edge.address()).await;
    exchange(&mut socket).await;
    let began = Instant::now();
    socket.send(Message::text("last")).await.unwrap();
    deadline("the echo", SOON, socket.next()).await.unwrap().unwrap();
    let end = deadline("the end", SOON, socket.next()).await;
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    assert!(began.elapsed() >= Duration::from_millis(1900), "{:?}", began.elapsed());
    eventually("the end at the upstream", SOON, async || upstream.open_connections() == 0).await;
    let parts = ["\"status\":101", "\"error\":\"tunnel_timeout\""];
    let is_logged = async || edge.process.lines().iter().any(|line| parts.iter().all(|part| line.contains(part)));
    eventually("the line in the access log", SOON, is_logged).await;
}
