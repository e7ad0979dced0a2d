//! HTTP/2 with clients: by prior knowledge and by ALPN, many streams, the way to HTTP/1.1 and back.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{future::join_all, stream};
use http::{Method, Request, StatusCode, Version};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tests::{
    client::{self, Connection, Reply, tls::Offer},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually},
};
use tokio::{net::TcpStream, task::JoinSet};

use super::{Edge, LISTENER, field, list, raw_endpoint::Peer, unchecked};

fn secure(endpoint: &Upstream) -> String {
    let tls = "[[listener]]\naddress = \"127.0.0.1:0\"\n[listener.tls]\n";
    format!("{tls}[pool.web]\nendpoints = {}\nhealth = false\n", list(&[endpoint.address()]))
}

#[tokio::test]
async fn a_client_that_knows_gets_http2_without_tls_and_the_upstream_http1() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http2(edge.address()).await.unwrap();
    let mut request = client::request("www.example.com", "/a?b");
    *request.method_mut() = Method::POST;
    *request.body_mut() = client::stream(stream::iter([Ok(Bytes::from("ab")), Ok(Bytes::from("c"))]));
    let reply = connection.send(request).await.unwrap();
    assert_eq!(reply.version, Version::HTTP_2);
    let echo = reply.json();
    assert_eq!((&echo["version"], &echo["target"], &echo["body"]), (&"HTTP/1.1".into(), &"/a?b".into(), &"abc".into()));
    for (name, value) in [
        ("host", "www.example.com"),
        ("x-forwarded-host", "www.example.com"),
        ("via", "2 edge"),
        ("transfer-encoding", "chunked"),
    ] {
        assert_eq!(field(&echo, name).as_deref(), Some(value), "{name}");
    }
}

#[tokio::test]
async fn cookies_that_http2_split_are_one_field_again() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http2(edge.address()).await.unwrap();
    let mut request = client::request("a.example", "/");
    for cookie in ["a=1", "b=2"] {
        request.headers_mut().append("cookie", cookie.parse().unwrap());
    }
    let echo = connection.send(request).await.unwrap().json();
    // RFC 9113 section 8.2.3.
    assert_eq!(field(&echo, "cookie").as_deref(), Some("a=1; b=2"));
}

#[tokio::test]
async fn alpn_decides_between_the_versions() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&secure(&upstream)).await;
    for (offered, agreed, version) in [
        (&["h2", "http/1.1"][..], Some("h2"), Version::HTTP_2),
        (&["http/1.1"], Some("http/1.1"), Version::HTTP_11),
        (&[], None, Version::HTTP_11),
    ] {
        let offer = Offer::accepting_any_certificate().alpn(offered);
        let mut connection = Connection::https(edge.address(), "localhost", offer).await.unwrap();
        assert_eq!(connection.tls().unwrap().alpn.as_deref(), agreed);
        let reply = connection.get("/").await.unwrap();
        assert_eq!((reply.status, reply.version), (StatusCode::OK, version), "{offered:?}");
        assert_eq!(field(&reply.json(), "x-forwarded-proto").as_deref(), Some("https"));
    }
}

#[tokio::test]
async fn a_hundred_streams_are_served_at_a_time() {
    let upstream = Upstream::start().await;
    upstream.hang();
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async { connection.await.unwrap_or(()) });
    let ask = |number: usize| {
        let mut sender = sender.clone();
        async move {
            sender.ready().await.unwrap();
            let body = client::full(format!("request {number}"));
            let request = Request::put(format!("http://a.example/{number}")).body(body).unwrap();
            let reply = Reply::read(sender.send_request(request).await.unwrap()).await.unwrap().json();
            assert_eq!(reply["body"], format!("request {number}"));
        }
    };
    let all = join_all((0..100).map(ask));
    let upstream = &upstream;
    let resume = async {
        eventually("all requests at the upstream", SOON, async || upstream.requests() == 100).await;
        upstream.resume();
    };
    deadline("all answers", SOON, async { tokio::join!(all, resume) }).await;
}

#[tokio::test]
async fn a_stream_that_the_client_gives_up_leaves_the_others_alone() {
    let upstream = Upstream::start().await;
    upstream.on("/never", Behaviour::Silence);
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http2(edge.address()).await.unwrap();
    let never = connection.start(client::request("a.example", "/never"));
    assert!(tokio::time::timeout(Duration::from_millis(300), never).await.is_err());
    eventually("the end of the given up request", SOON, async || upstream.open_connections() == 0).await;
    assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_streams_does_not_hold_endpoints_for_ever() {
    let upstream = Upstream::start().await;
    upstream.on("/large", Behaviour::Body(20 << 20));
    let endpoints = list(&[upstream.address()]);
    let edge = Edge::start(&format!(
        "[timeouts]\nbody_idle = \"300ms\"\n{LISTENER}[pool.web]\nendpoints = {endpoints}\nhealth = false\n"
    ))
    .await;
    let mut connection = Connection::http2(edge.address()).await.unwrap();
    let unread = connection.start(client::request("a.example", "/large")).await.unwrap();
    assert_eq!(unread.status(), StatusCode::OK);
    // The window is full, the client does not read, and yet its connection answers pings.
    eventually("the end of the endpoint's connection", SOON, async || upstream.open_connections() == 0).await;
    eventually("the end of the client's connection", SOON, async || connection.is_closed()).await;
}

#[tokio::test]
async fn a_stream_that_waits_for_its_endpoint_is_not_the_clients_fault() {
    let upstream = Upstream::start().await;
    upstream.on("/slow", Behaviour::SlowHead(Duration::from_millis(700)));
    upstream.on("/drip", Behaviour::SlowBody { chunks: 3, every: Duration::from_millis(500) });
    let endpoints = list(&[upstream.address()]);
    let edge = Edge::start(&format!(
        "[timeouts]\nbody_idle = \"200ms\"\n{LISTENER}[pool.web]\nendpoints = {endpoints}\nhealth = false\n"
    ))
    .await;
    let mut connection = Connection::http2(edge.address()).await.unwrap();
    assert_eq!(connection.get("/slow").await.unwrap().status, StatusCode::OK);
    assert_eq!(connection.get("/drip").await.unwrap().body.len(), 3000);
}

/// A client may send all of its body before it takes anything of the answer.
#[tokio::test]
async fn an_upload_goes_on_while_the_client_takes_nothing_of_its_answer() {
    const PIECES: usize = 32;
    const PIECE: usize = 64 * 1024;
    // More than the window of the client, less than fits between.
    const ANSWER: usize = 3_000_000;
    let peer = Peer::start().await;
    let edge = Edge::start(&unchecked(&[peer.address()])).await;
    let upstream = tokio::spawn(async move {
        let mut connection = peer.accept().await;
        connection.until("\r\n\r\n").await;
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n").await;
        connection.send(&vec![b'a'; ANSWER]).await;
        connection.until("the end").await;
        connection
    });
    let (pieces, body) = tokio::sync::mpsc::channel::<Bytes>(1);
    let body = stream::unfold(body, async |mut body| Some((Ok(body.recv().await?), body)));
    let mut connection = Connection::http2(edge.address()).await.unwrap();
    let mut request = client::request("a.example", "/");
    *request.method_mut() = Method::POST;
    *request.body_mut() = client::stream(body);
    let response = connection.start(request).await.unwrap();
    deadline("the upload", SOON, async {
        for _ in 0..PIECES {
            pieces.send(Bytes::from(vec![b'x'; PIECE])).await.unwrap();
        }
        pieces.send(Bytes::from("the end")).await.unwrap();
        upstream.await.unwrap()
    })
    .await;
    let reply = deadline("the answer", SOON, Reply::read(response)).await.unwrap();
    assert_eq!(reply.body.len(), ANSWER);
}
