//! What a client receives when something is wrong: the status table, row by row.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::{Method, StatusCode};
use tests::{
    client::{
        self, Connection, get,
        raw::{self, Raw},
    },
    port,
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually},
};

use super::{Edge, LISTENER, list, raw_endpoint::RawEndpoint, unchecked};

/// Returns an address that refuses connections.
fn refusing() -> SocketAddr {
    ([127, 0, 0, 1], port::free()).into()
}

/// Returns the status in a response's first line.
fn status(response: &str) -> &str {
    response.get(9..12).unwrap_or_default()
}

#[tokio::test]
async fn a_malformed_request_is_rejected_and_does_not_reach_the_upstream() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    for (expected, request) in [
        ("400", "GET / HTTP/1.1\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        ("400", "GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"),
        ("400", "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n"),
        ("400", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("400", "nonsense\r\n\r\n"),
        ("400", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"),
        ("400", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
        ("400", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx"),
        ("400", "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
        ("400", "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n"),
        ("501", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"),
    ] {
        let mut connection = Raw::open(edge.address()).await;
        connection.send(request.as_bytes()).await;
        let answer = connection.until("\r\n\r\n").await;
        assert_eq!(status(&answer), expected, "{request:?}: {answer:?}");
    }
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn a_head_beyond_the_limits_is_431() {
    let upstream = Upstream::start().await;
    let limits = "[limits]\nmax_head = \"8KiB\"\nmax_headers = 20\n";
    let edge = Edge::start(&format!("{}{limits}", unchecked(&[upstream.address()]))).await;
    let long = "x".repeat(9000);
    let many = "X: 1\r\n".repeat(20);
    for (expected, request) in [
        ("431", format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")),
        ("431", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n")),
        ("431", format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}")),
    ] {
        let answer = raw::exchange(edge.address(), request.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{answer:?}");
    }
    let few = "X: 1\r\n".repeat(19);
    let mut connection = Raw::open(edge.address()).await;
    connection.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{few}\r\n").as_bytes()).await;
    assert_eq!(status(&connection.until("\r\n\r\n").await), "200");
    assert_eq!(upstream.requests(), 1);
}

#[tokio::test]
async fn a_target_longer_than_any_server_accepts_is_414() {
    let upstream = Upstream::start().await;
    let limits = "[limits]\nmax_head = \"256KiB\"\n";
    let edge = Edge::start(&format!("{}{limits}", unchecked(&[upstream.address()]))).await;
    let request = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000));
    let answer = raw::exchange(edge.address(), request.as_bytes()).await;
    assert_eq!(status(&answer), "414", "{answer:?}");
}

#[tokio::test]
async fn an_incomplete_head_is_408_and_a_silent_connection_is_closed() {
    let upstream = Upstream::start().await;
    let timeouts = "[timeouts]\nhead = \"200ms\"\nkeep_alive = \"1min\"\n";
    let edge = Edge::start(&format!("{}{timeouts}", unchecked(&[upstream.address()]))).await;
    let mut connection = Raw::open(edge.address()).await;
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n").await;
    let answer = connection.rest().await;
    assert_eq!(status(&answer), "408", "{answer:?}");
    assert!(answer.contains("connection: close"), "{answer:?}");

    let mut connection = Raw::open(edge.address()).await;
    assert_eq!(connection.rest().await, "", "a client that sent nothing receives nothing");
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_response() {
    let upstream = Upstream::start().await;
    let timeouts = "[timeouts]\nhead = \"1min\"\nkeep_alive = \"200ms\"\n";
    let edge = Edge::start(&format!("{}{timeouts}", unchecked(&[upstream.address()]))).await;
    let mut connection = Raw::open(edge.address()).await;
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = connection.rest().await;
    assert_eq!(status(&answer), "200", "{answer:?}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer:?}");
}

#[tokio::test]
async fn a_body_beyond_its_routes_limit_is_413_with_and_without_a_length() {
    let upstream = Upstream::start().await;
    let route = "[[route]]\nmax_body = 10\n";
    let edge = Edge::start(&format!("{}{route}", unchecked(&[upstream.address()]))).await;
    let chunks = |count: usize| client::stream(stream::iter((0..count).map(|_| Ok(Bytes::from("12345")))));
    for (expected, body) in [
        (StatusCode::OK, client::full("1234567890")),
        (StatusCode::PAYLOAD_TOO_LARGE, client::full("12345678901")),
        (StatusCode::OK, chunks(2)),
        (StatusCode::PAYLOAD_TOO_LARGE, chunks(3)),
    ] {
        let mut connection = Connection::http1(edge.address()).await.unwrap();
        let mut request = client::request("a.example", "/");
        *request.method_mut() = Method::POST;
        *request.body_mut() = body;
        assert_eq!(connection.send(request).await.unwrap().status, expected);
    }
}

#[tokio::test]
async fn a_request_without_a_route_is_404() {
    let upstream = Upstream::start().await;
    let route = "[[route]]\nhost = \"www.example.com\"\npath = \"/a\"\n";
    let edge = Edge::start(&format!("{}{route}", unchecked(&[upstream.address()]))).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    for (host, path, expected) in [
        ("www.example.com", "/a/b", StatusCode::OK),
        ("www.example.com", "/b", StatusCode::NOT_FOUND),
        ("www.example.org", "/a", StatusCode::NOT_FOUND),
    ] {
        let reply = connection.send(client::request(host, path)).await.unwrap();
        assert_eq!(reply.status, expected, "{host}{path}");
    }
}

#[tokio::test]
async fn an_incomplete_or_malformed_response_is_502() {
    for answer in [
        "",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        "HTTP/1.1 20",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ] {
        let peer = RawEndpoint::start().await;
        let edge = Edge::start(&format!("{}attempts = 1\n", unchecked(&[peer.address()]))).await;
        let upstream = tokio::spawn(async move { peer.answer_once(answer).await });
        let reply = get(edge.address(), "/").await.unwrap();
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{answer:?}");
        assert!(reply.text().starts_with("502: "), "{}", reply.text());
        assert_eq!(reply.header("retry-after"), None);
        upstream.await.unwrap();
    }
}

#[tokio::test]
async fn a_post_whose_endpoint_closes_without_a_response_is_502() {
    let upstream = Upstream::start().await;
    upstream.on("/", Behaviour::CloseBeforeResponse);
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    let mut request = client::request("a.example", "/");
    *request.method_mut() = Method::POST;
    *request.body_mut() = client::full("x");
    assert_eq!(connection.send(request).await.unwrap().status, StatusCode::BAD_GATEWAY);
    // The client's connection remains usable.
    assert_eq!(connection.get("/else").await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_pool_that_refuses_connections_is_503_with_retry_after() {
    let edge = Edge::start(&unchecked(&[refusing(), refusing()])).await;
    for request in [Method::GET, Method::POST] {
        let mut connection = Connection::http1(edge.address()).await.unwrap();
        let mut head = client::request("a.example", "/");
        *head.method_mut() = request;
        let reply = connection.send(head).await.unwrap();
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.header("retry-after"), Some("1"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.text().starts_with("503: "), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_pool_without_endpoints_is_503() {
    let config =
        format!("[dns]\nservers = \"{}\"\n{LISTENER}[pool.web]\nendpoints = \"unknown.example:80\"\n", refusing());
    let edge = Edge::start(&config).await;
    let reply = get(edge.address(), "/").await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
}

#[tokio::test]
async fn a_pool_at_its_connection_limit_is_503() {
    let upstream = Upstream::start().await;
    upstream.on("/never", Behaviour::Silence);
    let edge = Edge::start(&format!("{}max_connections = 1\n", unchecked(&[upstream.address()]))).await;
    let first = tokio::spawn(get(edge.address(), "/never"));
    eventually("the first request", SOON, async || upstream.requests() == 1).await;
    let reply = get(edge.address(), "/").await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    first.abort();
}

#[tokio::test]
async fn an_endpoint_that_does_not_respond_in_time_is_504() {
    let upstream = Upstream::start().await;
    upstream.on("/never", Behaviour::Silence);
    let endpoints = list(&[upstream.address()]);
    // Only the first route's pool has a short timeout: the other one's response may take any time.
    let config = format!(
        "{LISTENER}[[route]]\npath = \"/never\"\npool = \"never\"\n[[route]]\npool = \"web\"\n\
         [pool.never]\nendpoints = {endpoints}\nhealth = false\n[pool.never.timeouts]\nresponse = \"200ms\"\n\
         [pool.web]\nendpoints = {endpoints}\nhealth = false\n"
    );
    let edge = Edge::start(&config).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    let reply = connection.get("/never").await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::GATEWAY_TIMEOUT, None));
    assert_eq!(upstream.requests(), 1, "the request is not sent again");
    assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
}

#[tokio::test]
async fn a_response_whose_body_stalls_is_cut_off() {
    let upstream = Upstream::start().await;
    upstream.on("/", Behaviour::SlowBody { chunks: 2, every: Duration::from_secs(30) });
    let timeouts = "[pool.web.timeouts]\nbody_idle = \"200ms\"\ntunnel_idle = \"200ms\"\n";
    let edge = Edge::start(&format!("{}{timeouts}", unchecked(&[upstream.address()]))).await;
    let mut connection = Raw::open(edge.address()).await;
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let answer = connection.rest().await;
    assert!(status(&answer) == "200" && !answer.ends_with("0\r\n\r\n"), "{answer:?}");
}

#[tokio::test]
async fn a_connection_beyond_the_limit_is_closed_without_a_response() {
    let upstream = Upstream::start().await;
    let limits = "[limits]\nmax_connections = 2\n";
    let edge = Edge::start(&format!("{}{limits}", unchecked(&[upstream.address()]))).await;
    let mut first = Connection::http1(edge.address()).await.unwrap();
    let mut second = Connection::http1(edge.address()).await.unwrap();
    for connection in [&mut first, &mut second] {
        assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
    }
    let mut third = Raw::open(edge.address()).await;
    third.try_send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(third.rest().await, "");
    assert_eq!(first.get("/").await.unwrap().status, StatusCode::OK);
    drop(second);
    eventually("a connection below the limit", SOON, async || get(edge.address(), "/").await.is_ok()).await;
}

#[tokio::test]
async fn a_request_that_returns_to_the_edge_is_508() {
    // The pool of this edge leads back to it. It needs a known port, since the configuration names the port twice.
    let own = SocketAddr::from(([127, 0, 0, 1], port::free()));
    for via in [true, false] {
        let pool = format!("[pool.web]\nendpoints = [\"{own}\"]\nhealth = false\nvia = {via}\n");
        let edge = Edge::start(&format!("[[listener]]\naddress = \"{own}\"\n{pool}")).await;
        let reply = deadline("the response", SOON, get(edge.address(), "/")).await.unwrap();
        assert_eq!(reply.status.as_u16(), 508, "via = {via}");
    }
}

#[tokio::test]
async fn a_response_head_that_is_too_large_is_502_and_does_not_eject_its_endpoint() {
    let upstream = Upstream::start().await;
    let fields = |count: usize, length: usize| {
        Behaviour::Headers((0..count).map(|number| (format!("x-{number}"), "v".repeat(length))).collect())
    };
    upstream.on("/many", fields(300, 1));
    upstream.on("/long", fields(9, 9000));
    upstream.on("/allowed", fields(90, 400));
    let ejection = "[pool.web.ejection]\nconsecutive_failures = 1\n";
    let edge = Edge::start(&format!("{}{ejection}", unchecked(&[upstream.address()]))).await;
    for path in ["/many", "/long"] {
        let reply = get(edge.address(), path).await.unwrap();
        assert_eq!(reply.status, StatusCode::BAD_GATEWAY, "{path}");
        assert!(reply.text().contains("header fields"), "{}", reply.text());
        let status = edge.status().await.to_string();
        assert!(status.contains("upstream_head_too_large") && !status.contains("ejected for"), "{status}");
    }
    assert_eq!(get(edge.address(), "/allowed").await.unwrap().status, StatusCode::OK);
}
