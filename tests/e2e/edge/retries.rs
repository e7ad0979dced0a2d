//! Retries: which requests are sent again, to which endpoint, and how often.

use std::{iter::repeat_n, net::SocketAddr};

use http::{Method, StatusCode};
use tests::{
    client::{self, Connection, Reply, get, raw::Raw},
    port,
    upstream::{Behaviour, Upstream},
    wait::{SOON, eventually},
};

use super::{Edge, addresses, raw_endpoint::RawEndpoint, unchecked};

/// Without ejection, failures do not remove an endpoint before a test has counted them.
const NO_EJECTION: &str = "[pool.web.ejection]\nconsecutive_failures = 0\n";

async fn send(edge: SocketAddr, method: Method, path: &str, body: &'static str) -> Result<Reply, client::Error> {
    let mut connection = Connection::http1(edge).await?;
    let mut request = client::request("a.example", path);
    *request.method_mut() = method;
    *request.body_mut() = client::full(body);
    connection.send(request).await
}

#[tokio::test]
async fn any_request_is_retried_after_a_refused_connection() {
    let upstream = Upstream::start().await;
    let refusing = ([127, 0, 0, 1], port::free()).into();
    let config = format!("{}{NO_EJECTION}", unchecked(&[refusing, upstream.address()]));
    let edge = Edge::start(&config).await;
    for (method, body) in repeat_n([(Method::GET, ""), (Method::POST, "once"), (Method::PATCH, "once")], 4).flatten() {
        let reply = send(edge.address(), method.clone(), "/", body).await.unwrap();
        assert_eq!((reply.status, &reply.json()["body"]), (StatusCode::OK, &body.into()), "{method}");
    }
    assert_eq!(upstream.requests(), 12);
}

#[tokio::test]
async fn an_idempotent_request_is_retried_when_its_connection_breaks() {
    for broken in [Behaviour::CloseBeforeResponse, Behaviour::ResetBeforeResponse] {
        let [bad, good] = [Upstream::start().await, Upstream::start().await];
        bad.on("/", broken.clone());
        let config = format!("{}{NO_EJECTION}", unchecked(&[bad.address(), good.address()]));
        let edge = Edge::start(&config).await;
        for method in repeat_n([Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS], 2).flatten() {
            let reply = send(edge.address(), method.clone(), "/", "").await.unwrap();
            assert_eq!(reply.status, StatusCode::OK, "{method}, {broken:?}");
        }
        assert_eq!(good.requests(), 8);
        assert!(bad.requests() > 0);
    }
}

#[tokio::test]
async fn a_post_whose_connection_breaks_is_not_retried() {
    for broken in [Behaviour::CloseBeforeResponse, Behaviour::ResetBeforeResponse] {
        let [bad, good] = [Upstream::start().await, Upstream::start().await];
        bad.on("/", broken.clone());
        let config = format!("{}{NO_EJECTION}", unchecked(&[bad.address(), good.address()]));
        let edge = Edge::start(&config).await;
        let mut failed = 0;
        for body in ["once", "", "once", "", "once", ""] {
            let reply = send(edge.address(), Method::POST, "/", body).await.unwrap();
            failed += usize::from(reply.status == StatusCode::BAD_GATEWAY);
        }
        assert_eq!((bad.requests(), good.requests()), (failed, 6 - failed), "{broken:?}");
        assert!(failed > 0);
    }
}

#[tokio::test]
async fn an_idle_connection_that_died_is_replaced_unnoticed_by_the_client() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    for (round, method) in [Method::GET, Method::POST, Method::PATCH].into_iter().enumerate() {
        assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
        upstream.restart().await;
        let mut request = client::request("a.example", "/");
        *request.method_mut() = method.clone();
        *request.body_mut() = client::full("once");
        let reply = connection.send(request).await.unwrap();
        assert_eq!((reply.status, &reply.json()["body"]), (StatusCode::OK, &"once".into()), "{method}");
        assert_eq!(upstream.requests(), 2 * (round + 1));
    }
}

#[tokio::test]
async fn a_reused_connection_that_dies_is_replaced_for_a_get_but_not_for_a_post() {
    for (method, expected) in [(Method::GET, StatusCode::OK), (Method::POST, StatusCode::BAD_GATEWAY)] {
        let peer = RawEndpoint::start().await;
        let edge = Edge::start(&unchecked(&[peer.address()])).await;
        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        let upstream = tokio::spawn(async move {
            let mut first = peer.accept().await;
            first.until("\r\n\r\n").await;
            first.send(ok).await;
            first.until("\r\n\r\n").await;
            drop(first);
            let mut second = peer.accept().await;
            second.until("\r\n\r\n").await;
            second.send(ok).await;
        });
        let mut connection = Connection::http1(edge.address()).await.unwrap();
        assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
        let mut request = client::request("a.example", "/");
        *request.method_mut() = method.clone();
        let reply = connection.send(request).await.unwrap();
        assert_eq!(reply.status, expected, "{method}");
        upstream.abort();
    }
}

#[tokio::test]
async fn a_get_is_not_retried_after_the_first_byte_of_the_response() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    for upstream in &upstreams {
        upstream.on("/", Behaviour::CloseMidBody);
    }
    let edge = Edge::start(&unchecked(&addresses(&upstreams))).await;
    let cut = get(edge.address(), "/").await;
    assert!(matches!(cut, Err(client::Error::Http(_))), "{cut:?}");
    assert_eq!(upstreams.iter().map(Upstream::requests).sum::<usize>(), 1);
}

#[tokio::test]
async fn a_503_of_an_endpoint_is_not_retried() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    for upstream in &upstreams {
        upstream.on("/", Behaviour::Status(503));
    }
    let edge = Edge::start(&unchecked(&addresses(&upstreams))).await;
    let reply = get(edge.address(), "/").await.unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "status 503"));
    assert_eq!(upstreams.iter().map(Upstream::requests).sum::<usize>(), 1);
}

#[tokio::test]
async fn an_endpoint_that_closes_after_each_response_serves_every_request() {
    let upstream = Upstream::start().await;
    upstream.on("/", Behaviour::EchoAndClose);
    let edge = Edge::start(&unchecked(&[upstream.address()])).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    for method in repeat_n([Method::GET, Method::POST], 5).flatten() {
        let mut request = client::request("a.example", "/");
        *request.method_mut() = method;
        let reply = connection.send(request).await.unwrap();
        assert_eq!((reply.status, reply.header("connection")), (StatusCode::OK, None));
    }
    assert_eq!(upstream.connections(), 10);
    eventually("the end of all connections", SOON, async || upstream.open_connections() == 0).await;
}

/// The connections to all endpoints that could not be opened.
async fn connect_failures(edge: &Edge) -> u64 {
    let status = edge.status().await;
    let endpoints = status["pools"][0]["endpoints"].as_array().expect("endpoints");
    endpoints.iter().map(|endpoint| endpoint["connect_failures"].as_u64().expect("a number")).sum()
}

#[tokio::test]
async fn any_request_waits_until_an_endpoint_is_back() {
    for count in [1, 2] {
        let mut upstreams = Vec::new();
        for _ in 0..count {
            upstreams.push(Upstream::start().await);
        }
        // So many attempts allow nine seconds.
        let config = format!("{}attempts = 10\n{NO_EJECTION}", unchecked(&addresses(&upstreams)));
        let edge = Edge::start(&config).await;
        for upstream in &upstreams {
            upstream.kill().await;
        }
        let (address, methods) = (edge.address(), [Method::GET, Method::POST]);
        let requests = methods.map(|method| tokio::spawn(send(address, method, "/", "once")));
        // More than all attempts of both: failures to connect do not count.
        eventually("failed connections", SOON, async || connect_failures(&edge).await > 20).await;
        upstreams[0].restart().await;
        for request in requests {
            let reply = request.await.unwrap().unwrap();
            assert_eq!((reply.status, &reply.json()["body"]), (StatusCode::OK, &"once".into()), "{count}");
        }
        assert_eq!(upstreams.iter().map(Upstream::requests).sum::<usize>(), 2);
    }
}

#[tokio::test]
async fn an_endpoint_that_stays_away_is_503_at_once_after_the_first_wait() {
    for (keys, first) in [("", 2), ("max_queue = 0\n", 1), ("attempts = 1\n", 1)] {
        let edge = Edge::start(&format!("{}{keys}{NO_EJECTION}", unchecked(&[port_without_listener()]))).await;
        let refused = async || {
            let before = connect_failures(&edge).await;
            let reply = send(edge.address(), Method::POST, "/", "once").await.unwrap();
            assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
            connect_failures(&edge).await - before
        };
        let waited = refused().await;
        assert!(if first == 1 { waited == 1 } else { waited >= first }, "{waited} with {keys:?}");
        for _ in 0..5 {
            assert_eq!(refused().await, 1, "{keys:?}");
        }
    }
}

#[tokio::test]
async fn a_client_that_disconnects_while_no_endpoint_is_there_is_forgotten() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&format!("{}attempts = 50\nmax_queue = 1\n", unchecked(&[upstream.address()]))).await;
    upstream.kill().await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0\r\n\r\n").await;
    eventually("a failed connection", SOON, async || connect_failures(&edge).await > 1).await;
    let other = get(edge.address(), "/").await.unwrap();
    assert_eq!(other.status, StatusCode::SERVICE_UNAVAILABLE, "one too many waits");
    client.reset();
    eventually("the end of its wait", SOON, async || {
        get(edge.admin, "/metrics").await.unwrap().text().contains("edge_errors_total{kind=\"client_gone\"} 1")
    })
    .await;
    upstream.restart().await;
    assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
    assert_eq!(upstream.requests(), 1);
}

fn port_without_listener() -> SocketAddr {
    ([127, 0, 0, 1], port::free()).into()
}
