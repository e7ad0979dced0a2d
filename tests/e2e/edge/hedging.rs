//! Requests that are sent to a second endpoint, because the first one is slow.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use tests::{
    client::{self, Connection, raw::Raw},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually},
};
use tokio::sync::watch;

use super::{Edge, addresses, raw_endpoint::RawEndpoint, unchecked};

/// Longer than the test.
const NEVER: Duration = Duration::from_secs(600);

/// Starts an edge that hedges, and lets it measure how long responses take.
async fn start(upstreams: &[Upstream]) -> (Edge, Connection) {
    start_with(upstreams, "").await
}

/// The same with more lines of configuration for the pool.
async fn start_with(upstreams: &[Upstream], more: &str) -> (Edge, Connection) {
    let edge = Edge::start(&format!("{}hedge = 0.9\n{more}", unchecked(&addresses(upstreams)))).await;
    // Each worker measures for itself, so all requests come over one connection.
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    for _ in 0..150 {
        assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
    }
    (edge, connection)
}

async fn hedges(edge: &Edge) -> (u64, u64) {
    let status = edge.status().await;
    let count = |name: &str| status["pools"][0][name].as_u64().expect("a number");
    (count("hedges"), count("hedges_won"))
}

#[tokio::test]
async fn a_get_at_a_slow_endpoint_is_answered_by_another_one() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let (edge, mut connection) = start(&upstreams).await;
    let before = hedges(&edge).await;
    let [slow, fast] = &upstreams;
    slow.on("/slow", Behaviour::SlowHead(NEVER));
    for _ in 0..4 {
        let reply = deadline("a response", SOON, connection.get("/slow")).await.unwrap();
        assert_eq!((reply.status, &reply.json()["upstream"]), (StatusCode::OK, &fast.address().to_string().into()));
    }
    let lost = slow.requests_for("/slow");
    assert!((1..=4).contains(&lost), "{lost}");
    let after = hedges(&edge).await;
    assert!(after.1 - before.1 >= u64::try_from(lost.min(2)).unwrap(), "{before:?} {after:?}");
    eventually("the end of the exchanges that lost", SOON, async || slow.open_connections() == 0).await;
    let logged =
        async || edge.process.lines().iter().any(|line| line.contains("requests were sent to a second endpoint"));
    eventually("a log line", SOON, logged).await;
}

#[tokio::test]
async fn a_request_is_hedged_once_and_a_post_never() {
    let upstreams = [Upstream::start().await, Upstream::start().await, Upstream::start().await];
    let (_edge, mut connection) = start(&upstreams).await;
    for upstream in &upstreams {
        upstream.on("/get", Behaviour::SlowHead(Duration::from_millis(500)));
        upstream.on("/post", Behaviour::SlowHead(Duration::from_millis(500)));
    }
    let requests = |path| upstreams.iter().map(|upstream| upstream.requests_for(path)).sum::<usize>();
    assert_eq!(connection.get("/get").await.unwrap().status, StatusCode::OK);
    assert_eq!(requests("/get"), 2);
    let mut request = client::request("a.example", "/post");
    *request.method_mut() = Method::POST;
    assert_eq!(connection.send(request).await.unwrap().status, StatusCode::OK);
    assert_eq!(requests("/post"), 1);
}

#[tokio::test]
async fn a_server_error_of_the_second_endpoint_does_not_win() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let (edge, mut connection) = start(&upstreams).await;
    let [slow, broken] = &upstreams;
    slow.on("/", Behaviour::SlowHead(Duration::from_millis(500)));
    broken.on("/", Behaviour::Status(503));
    let mut good = 0;
    for _ in 0..4 {
        good += usize::from(connection.get("/").await.unwrap().status == StatusCode::OK);
    }
    // Those that began at the slow endpoint.
    assert_eq!(good, 2);
    assert!(hedges(&edge).await.0 >= 2);
}

#[tokio::test]
async fn a_second_exchange_with_an_endpoint_on_probation_is_its_trial() {
    let ejection = "[pool.web.ejection]\nconsecutive_failures = 5\nbase = \"200ms\"\n";
    // The balancing decides which endpoint is the first.
    for _ in 0..20 {
        let upstreams = [Upstream::start().await, Upstream::start().await];
        let (mut edge, mut connection) = start_with(&upstreams, ejection).await;
        let [ejected, slow] = &upstreams;
        ejected.on("/", Behaviour::CloseBeforeResponse);
        eventually("an ejection", SOON, async || {
            assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
            edge.process.lines().iter().any(|line| line.contains("endpoint is ejected"))
        })
        .await;
        slow.on("/slow", Behaviour::SlowHead(NEVER));
        edge.process.line("endpoint is on probation").await;
        eventually("probation", SOON, async || {
            let status = edge.status().await;
            let endpoints = status["pools"][0]["endpoints"].as_array().expect("endpoints");
            endpoints.iter().any(|endpoint| endpoint["state"] == "probation")
        })
        .await;
        let reply = deadline("a response", SOON, connection.get("/slow")).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK);
        edge.process.line("endpoint passed its probation").await;
        if slow.requests_for("/slow") > 0 {
            return;
        }
    }
    panic!("no request began at the slow endpoint");
}

/// Answers each request with 200, but those for `/slow` as `slow` says, whose second item tells it how many there were
/// before at any endpoint.
async fn scripted<F: Future<Output = ()> + Send>(
    seen: Arc<watch::Sender<usize>>,
    slow: impl Fn(Raw, usize) -> F + Clone + Send + 'static,
) -> SocketAddr {
    let endpoint = RawEndpoint::start().await;
    let address = endpoint.address();
    tokio::spawn(async move {
        loop {
            let (mut connection, slow, seen) = (endpoint.accept().await, slow.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                while !connection.until("\r\n\r\n").await.contains("/slow") {
                    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                }
                let mut before = 0;
                seen.send_modify(|seen| before = std::mem::replace(seen, *seen + 1));
                slow(connection, before).await;
            });
        }
    });
    address
}

/// The status of what an edge answers to `/slow` with these endpoints, and all that comes before the body.
async fn slow_response(endpoints: &[SocketAddr], keys: &str) -> String {
    let edge = Edge::start(&format!("{}hedge = 0.9\n{keys}", unchecked(endpoints))).await;
    let mut client = Raw::open(edge.address()).await;
    for _ in 0..150 {
        client.send(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
        client.until("\r\n\r\n").await;
    }
    client.send(b"GET /slow HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n").await;
    deadline("a response", SOON, client.rest()).await
}

#[tokio::test]
async fn a_client_gets_the_interim_responses_of_one_exchange() {
    let seen = Arc::new(watch::Sender::new(0));
    let slow = |mut connection: Raw, before: usize| async move {
        connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n").await;
        if before == 0 {
            // It never responds, and keeps the connection until the edge closes it.
            connection.rest().await;
        }
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    };
    let endpoints = [scripted(Arc::clone(&seen), slow).await, scripted(Arc::clone(&seen), slow).await];
    let response = slow_response(&endpoints, "").await;
    assert_eq!(*seen.borrow(), 2);
    assert_eq!(response.matches("HTTP/1.1 103 ").count(), 1, "{response}");
    assert!(response.contains("HTTP/1.1 200 OK"), "{response}");
}

#[tokio::test]
async fn a_hedge_is_one_of_the_attempts() {
    let seen = Arc::new(watch::Sender::new(0));
    // The first waits until the second exchange has begun.
    let others = Arc::clone(&seen);
    let slow = move |mut connection: Raw, before: usize| {
        let others = Arc::clone(&others);
        async move {
            if before == 0 {
                let mut seen = others.subscribe();
                deadline("a second exchange", SOON, seen.wait_for(|seen| *seen > 1)).await.expect("a number");
            } else if before == 1 {
                connection.rest().await;
            }
            connection.try_send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
        }
    };
    let mut endpoints = Vec::new();
    for _ in 0..3 {
        endpoints.push(scripted(Arc::clone(&seen), slow.clone()).await);
    }
    let response = slow_response(&endpoints, "attempts = 2\nretry_statuses = 503\n").await;
    assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
    assert_eq!(*seen.borrow(), 2);
}

#[tokio::test]
async fn an_ejected_endpoint_gets_no_hedge() {
    let ejection = "[pool.web.ejection]\nconsecutive_failures = 5\nbase = \"1m\"\n";
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let (edge, mut connection) = start_with(&upstreams, ejection).await;
    let [ejected, slow] = &upstreams;
    ejected.on("/", Behaviour::CloseBeforeResponse);
    eventually("an ejection", SOON, async || {
        assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
        let status = edge.status().await;
        let endpoints = status["pools"][0]["endpoints"].as_array().expect("endpoints").clone();
        endpoints.iter().any(|endpoint| endpoint["state"] == "ejected")
    })
    .await;
    let before = hedges(&edge).await.0;
    slow.on("/slow", Behaviour::SlowHead(Duration::from_millis(500)));
    assert_eq!(connection.get("/slow").await.unwrap().status, StatusCode::OK);
    assert_eq!((ejected.requests_for("/slow"), hedges(&edge).await.0 - before), (0, 0));
}
