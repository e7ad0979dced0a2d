//! Timeouts of clients and endpoints: which one applies, and to which side.

use std::{io, net::SocketAddr, time::Duration};

use socket2::SockRef;
use tests::{
    client::{raw::Raw, tls::Offer},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, pause},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};

use super::{Edge, LISTENER, list, raw_endpoint::RawEndpoint, unchecked};

/// A configuration with one endpoint, timeouts of clients, and timeouts of the pool.
fn with_timeouts(client: &str, endpoint: &str, address: SocketAddr) -> String {
    let endpoints = list(&[address]);
    format!(
        "[timeouts]\n{client}\n{LISTENER}[pool.web]\nendpoints = {endpoints}\nhealth = false\n[pool.web.timeouts]\n{endpoint}\n"
    )
}

/// Connects with a small receive buffer and small segments. The kernel then buffers about 230 KiB for the client,
/// where the defaults allow more than 4 MiB.
async fn connect_with_small_buffers(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    SockRef::from(&socket).set_tcp_mss(1400).unwrap();
    socket.connect(address).await.unwrap()
}

/// Lengths of response bodies, below and above what the kernel buffers for [`connect_with_small_buffers`]. Bytes. While
/// such a client does not read, the edge sends short bodies completely, of some it holds only the end, and of long ones
/// the endpoint still holds a part.
fn lengths() -> impl Iterator<Item = usize> {
    (64 * 1024..=512 * 1024).step_by(8 * 1024)
}

#[tokio::test]
async fn an_endpoint_may_pause_between_head_and_body() {
    let endpoint = RawEndpoint::start().await;
    let edge = Edge::start(&unchecked(&[endpoint.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let mut upstream = endpoint.accept().await;
    upstream.until("\r\n\r\n").await;
    upstream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    // Once a second, the edge moves requests away from endpoints that were found down.
    pause(Duration::from_millis(1500)).await;
    upstream.send(b"later").await;
    assert_eq!(client.until("later").await, "later");
}

#[tokio::test]
async fn an_endpoint_that_stops_reading_an_upload_is_504() {
    let endpoint = RawEndpoint::start().await;
    let edge = Edge::start(&with_timeouts("", "response = \"500ms\"", endpoint.address())).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000000\r\n\r\n").await;
    let _upstream = endpoint.accept().await;
    let chunk = vec![b'x'; 1 << 16];
    let response = deadline("the response", SOON, async {
        loop {
            // Sends until neither the endpoint nor the edge accepts more, then looks for a response.
            while timeout(Duration::from_millis(200), client.try_send(&chunk)).await == Ok(true) {}
            if let Ok(head) = timeout(Duration::from_millis(200), client.until("\r\n\r\n")).await {
                return head;
            }
        }
    });
    let head = response.await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
}

#[tokio::test]
async fn an_endpoint_that_does_not_respond_to_an_upload_with_trailers_is_504() {
    let upstream = Upstream::start().await;
    upstream.on("/", Behaviour::Silence);
    let edge = Edge::start(&with_timeouts("", "response = \"500ms\"", upstream.address())).await;
    let mut client = Raw::open(edge.address()).await;
    client
        .send(b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n")
        .await;
    let head = deadline("the response", SOON, client.until("\r\n\r\n")).await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
}

#[tokio::test]
async fn a_slow_client_gets_all_of_a_response_that_takes_longer_than_keep_alive() {
    let upstream = Upstream::start().await;
    let timeouts = "keep_alive = \"300ms\"\nbody_idle = \"1min\"";
    let edge = Edge::start(&with_timeouts(timeouts, "", upstream.address())).await;
    let address = edge.address();
    let mut downloads = JoinSet::new();
    for length in lengths() {
        upstream.on(&format!("/{length}"), Behaviour::Body(length));
        downloads.spawn(async move {
            let mut client = Raw::from(connect_with_small_buffers(address).await);
            client.send(format!("GET /{length} HTTP/1.1\r\nHost: a.example\r\n\r\n").as_bytes()).await;
            client.until("\r\n\r\n").await;
            // The client reads nothing for longer than `keep_alive`.
            pause(Duration::from_millis(1200)).await;
            (length, client.rest().await.len())
        });
    }
    let short: Vec<_> = downloads.join_all().await.into_iter().filter(|(length, got)| length != got).collect();
    assert_eq!(short, []);
}

/// Over TLS the edge may hold the end of a response after the endpoint has finished. The connection is blocked until
/// the client reads on, and idle afterwards. A blocked connection times out after `body_idle`, an idle one after
/// `keep_alive`, so the timeout that fires shows the connection's state.
#[tokio::test]
async fn a_tls_connection_is_idle_once_a_slow_client_has_read_the_response() {
    let upstream = Upstream::start().await;
    let pool = format!("[pool.web]\nendpoints = {}\nhealth = false\n", list(&[upstream.address()]));
    let timeouts = "[timeouts]\nkeep_alive = \"300ms\"\nbody_idle = \"1min\"\nhead = \"1min\"\n";
    let edge = Edge::start(&format!("{timeouts}{LISTENER}[listener.tls]\n{pool}")).await;
    let address = edge.address();
    let mut downloads = JoinSet::new();
    for length in lengths() {
        upstream.on(&format!("/{length}"), Behaviour::Body(length));
        let offer = Offer::accepting_any_certificate().alpn(&["http/1.1"]);
        downloads.spawn(async move {
            let stream = connect_with_small_buffers(address).await;
            let (mut stream, _) = offer.handshake(stream, "a.example").await.unwrap();
            let request = format!("GET /{length} HTTP/1.1\r\nHost: a.example\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            // The client reads nothing while the edge fills the socket.
            pause(Duration::from_millis(1000)).await;
            let mut response = Vec::new();
            let end = deadline("the end by `keep_alive`", SOON, stream.read_to_end(&mut response)).await;
            let head = response.windows(4).position(|part| part == b"\r\n\r\n").map_or(0, |start| start + 4);
            // A timeout ends the connection without a close_notify, which a close after the response would send.
            (length, response.len() - head, end.map_err(|error| error.kind()))
        });
    }
    let mut wrong = downloads.join_all().await;
    wrong.retain(|(length, body, end)| body != length || *end != Err(io::ErrorKind::UnexpectedEof));
    assert_eq!(wrong, []);
}
