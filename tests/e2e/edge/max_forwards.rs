//! The one question that the edge answers itself: OPTIONS with `Max-Forwards: 0`.

use http::{Method, StatusCode};
use tests::{
    client::{self, Connection, raw::Raw},
    upstream::Upstream,
};

use super::{Edge, field, unchecked};

const ITSELF: &str = "200: this is the edge, the request went no further\n";

#[tokio::test]
async fn a_request_that_must_go_no_further_is_answered_by_the_edge() {
    let upstream = Upstream::start().await;
    let routes = "[[route]]\nhost = \"www.example.com\"\n";
    let edge = Edge::start(&format!("{}{routes}", unchecked(&[upstream.address()]))).await;
    // Where no route leads as well: it is not about what is behind.
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
async fn others_go_on_and_are_one_hop_nearer_to_their_limit() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    for (method, sent, arrives) in [
        (Method::OPTIONS, Some("5"), Some("4")),
        (Method::OPTIONS, Some("1"), Some("0")),
        (Method::TRACE, Some("1"), Some("0")),
        (Method::OPTIONS, Some("none"), Some("none")),
        (Method::OPTIONS, None, None),
        // It means something for OPTIONS and TRACE only.
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
async fn a_trace_of_the_edge_shows_nobody_his_own_request() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"TRACE / HTTP/1.1\r\nHost: a\r\nCookie: secret\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(answer.starts_with("HTTP/1.1 501") && !answer.contains("secret"), "{answer}");
    assert_eq!(upstream.requests(), 0);
}
