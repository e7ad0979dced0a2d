//! HTTP/2 with clients: prior knowledge and ALPN, concurrent streams, translation to HTTP/1.1.

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

use super::{Edge, LISTENER, field, list, raw_endpoint::RawEndpoint, unchecked};

/// A configuration with a TLS listener and one endpoint.
fn secure(endpoint: &Upstream) -> String {
    let tls = "[[listener]]\naddress = \"127.0.0.1:0\"\n[listener.tls]\n";
    format!("{tls}[pool.web]\nendpoints = {}\nhealth = false\n", list(&[endpoint.address()]))
}

#[tokio::test]
async fn an_h2c_request_by_prior_knowledge_goes_upstream_as_http1() {
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
async fn split_cookies_are_joined_into_one_field() {
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
async fn alpn_selects_the_version() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&secure(&upstream)).await;
    for (offered, agreed, version) in [
        (&["h2", "http/1.1"][..], Some("h2"), Version::HTTP_2),
        (&["http/1.1"], Some("http/1.1"), Version::HTTP_11),
        (&["http/1.0"], Some("http/1.0"), Version::HTTP_11),
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
async fn a_hundred_streams_are_served_concurrently() {
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
    deadline("all responses", SOON, async { tokio::join!(all, resume) }).await;
}

#[tokio::test]
async fn a_cancelled_stream_does_not_affect_others() {
    let upstream = Upstream::start().await;
    upstream.on("/never", Behaviour::Silence);
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http2(edge.address()).await.unwrap();
    tokio::select! {
        response = connection.start(client::request("a.example", "/never")) => panic!("{response:?}"),
        () = eventually("the request", SOON, async || upstream.requests_for("/never") == 1) => {}
    }
    eventually("the end of the cancelled request", SOON, async || upstream.open_connections() == 0).await;
    assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_stream_times_out() {
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
    // The client does not read the stream, whose window is full, but its connection still answers pings.
    eventually("the end of the endpoint's connection", SOON, async || upstream.open_connections() == 0).await;
    eventually("the end of the client's connection", SOON, async || connection.is_closed()).await;
}

#[tokio::test]
async fn a_client_does_not_time_out_while_its_stream_waits_for_the_endpoint() {
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

/// A client may send its whole body before it reads the response.
#[tokio::test]
async fn an_upload_continues_while_the_client_does_not_read_the_response() {
    const PIECES: usize = 32;
    const PIECE: usize = 64 * 1024;
    // More than the client's window, and less than the buffers between hold.
    const ANSWER: usize = 3_000_000;
    let peer = RawEndpoint::start().await;
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
    let reply = deadline("the response", SOON, Reply::read(response)).await.unwrap();
    assert_eq!(reply.body.len(), ANSWER);
}
