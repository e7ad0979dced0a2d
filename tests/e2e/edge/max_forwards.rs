//! `Max-Forwards`: with 0, the edge answers OPTIONS and TRACE itself.

use http::{Method, StatusCode};
use tests::{
    client::{self, Connection, raw::Raw},
    upstream::Upstream,
};

use super::{Edge, field, unchecked};

const ITSELF: &str = "200: this is the edge, the request went no further\n";

#[tokio::test]
async fn options_with_max_forwards_0_is_answered_by_the_edge() {
    let upstream = Upstream::start().await;
    let routes = "[[route]]\nhost = \"www.example.com\"\n";
    let edge = Edge::start(&format!("{}{routes}", unchecked(&[upstream.address()]))).await;
    // The request is for the edge itself, so it needs no route.
    for host in ["www.example.com", "other.example"] {
        for target in ["*", "/", "/path?x"] {
            let mut client = Raw::open(edge.address()).await;
            let head =
                format!("OPTIONS {target} HTTP/1.1\r\nHost: {host}\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n");
            client.send(head.as_bytes()).await;
            let answer = client.rest().await;
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(&format!("\r\n\r\n{ITSELF}")),
                "{answer}"
            );
            assert!(
                answer.contains("\r\nserver: edge\r\n") && answer.contains("\r\ncache-control: no-store\r\n"),
                "{answer}"
            );
        }
    }
    let mut connection = Connection::http2(edge.address()).await.unwrap();
    let mut request = client::request("www.example.com", "/");
    *request.method_mut() = Method::OPTIONS;
    request.headers_mut().insert("max-forwards", "0".parse().unwrap());
    let reply = connection.send(request).await.unwrap();
    assert_eq!((reply.status, reply.text().as_str(), reply.header("server")), (StatusCode::OK, ITSELF, Some("edge")));
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn other_limits_are_decremented_and_forwarded() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    for (method, sent, arrives) in [
        (Method::OPTIONS, Some("5"), Some("4")),
        (Method::OPTIONS, Some("1"), Some("0")),
        (Method::TRACE, Some("1"), Some("0")),
        (Method::OPTIONS, Some("none"), Some("none")),
        (Method::OPTIONS, None, None),
        // Only OPTIONS and TRACE have a limit.
        (Method::GET, Some("0"), Some("0")),
    ] {
        let mut connection = Connection::http1(edge.address()).await.unwrap();
        let mut request = client::request("a.example", "/");
        *request.method_mut() = method.clone();
        if let Some(sent) = sent {
            request.headers_mut().insert("max-forwards", sent.parse().unwrap());
        }
        let echo = connection.send(request).await.unwrap().json();
        assert_eq!(field(&echo, "max-forwards").as_deref(), arrives, "{method} {sent:?}");
        assert_eq!(echo["method"], method.as_str());
    }
}

#[tokio::test]
async fn trace_with_max_forwards_0_is_501_and_reveals_no_fields() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"TRACE / HTTP/1.1\r\nHost: a\r\nCookie: secret\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 501") && !answer.contains("secret"), "{answer}");
    assert_eq!(upstream.requests(), 0);
}
