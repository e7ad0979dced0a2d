//! Pools whose endpoints have as many connections as allowed.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::Value;
use tests::{
    client::{self, Connection, Reply, get, load::Load, raw::Raw},
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually, eventually_some, throughout},
};
use tokio::task::JoinSet;

use super::{Edge, addresses, assert_all_ok, checked, raw_endpoint::RawEndpoint, unchecked};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// The configuration of `max` connections to each endpoint, and how long a request waits for one.
fn limited(endpoints: &[Upstream], max: usize, queue: &str) -> String {
    let pool = unchecked(&addresses(endpoints));
    format!("{pool}max_connections = {max}\nmax_queue = 64\n[pool.web.timeouts]\nqueue = \"{queue}\"\n")
}

async fn pool(edge: &Edge) -> Value {
    edge.status().await["pools"][0].take()
}

/// Waits until this many requests wait for a connection.
async fn queued(edge: &Edge, count: usize) {
    eventually("the length of the queue", SOON, async || pool(edge).await["queue_length"] == count).await;
}

/// Sends requests on `count` new connections at the same time, and waits until the endpoint has one connection for each
/// of them. Afterwards they are idle, on the workers that the kernel chose.
async fn open_connections(edge: &Edge, upstream: &Upstream, count: usize) {
    upstream.hang();
    let mut requests: JoinSet<_> = (0..count).map(|_| get(edge.address(), "/")).collect();
    eventually("all connections", SOON, async || upstream.open_connections() == count).await;
    upstream.resume();
    while let Some(reply) = deadline("the responses", SOON, requests.join_next()).await {
        assert_eq!(reply.unwrap().unwrap().status, StatusCode::OK);
    }
}

/// A client whose request an endpoint never answers.
struct Occupied<'u> {
    client: Raw,
    upstream: &'u Upstream,
}

/// Sends a request for `/never` that is not sent again, and waits until an endpoint has it.
async fn occupy<'u>(edge: &Edge, upstreams: &'u [Upstream]) -> Occupied<'u> {
    let before: Vec<usize> = upstreams.iter().map(|upstream| upstream.requests_for("/never")).collect();
    let mut client = Raw::open(edge.address()).await;
    client.send(b"POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    let asked =
        async || upstreams.iter().zip(&before).position(|(upstream, before)| upstream.requests_for("/never") > *before);
    let asked = eventually_some("the request", SOON, asked).await;
    Occupied { client, upstream: &upstreams[asked] }
}

#[tokio::test]
async fn idle_connections_of_one_worker_serve_the_requests_of_others() {
    for (max, at_once) in [(1, 1), (8, 8)] {
        let upstreams = [Upstream::start().await];
        let edge = Edge::start(&limited(&upstreams, max, "20s")).await;
        open_connections(&edge, &upstreams[0], max).await;
        // Each client connection belongs to a worker that the kernel chooses.
        for _ in 0..20 {
            let mut requests: JoinSet<_> = (0..at_once).map(|_| get(edge.address(), "/")).collect();
            while let Some(reply) = deadline("the responses", SOON, requests.join_next()).await {
                assert_eq!(reply.unwrap().unwrap().status, StatusCode::OK);
            }
        }
        assert_eq!(upstreams[0].connections(), max, "they move from worker to worker and stay open");
        let queued = pool(&edge).await["queued"].as_u64().unwrap();
        assert!(queued > 0 || max > 1, "one worker had no connection of its own");
    }
}

#[tokio::test]
async fn more_clients_than_connections_are_all_served() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let edge = Edge::start(&limited(&upstreams, 8, "20s")).await;
    let load = Load::on(&edge.addresses).connections(48).start();
    eventually("load", SOON, async || load.done() > 2000).await;
    assert_all_ok(&load.stop().await);
    for upstream in &upstreams {
        assert!(upstream.open_connections() <= 8);
        assert!(upstream.connections() <= 16, "{} were opened", upstream.connections());
    }
    let pool = pool(&edge).await;
    assert!(pool["queued"].as_u64().unwrap() > 0, "{pool}");
    assert_eq!(
        (&pool["queue_length"], &pool["queue_timeouts"], &pool["queue_overflows"]),
        (&0.into(), &0.into(), &0.into())
    );
}

#[tokio::test]
async fn a_request_waits_for_the_only_connection_and_then_uses_it() {
    let upstreams = [Upstream::start().await];
    let edge = Edge::start(&limited(&upstreams, 1, "20s")).await;
    upstreams[0].hang();
    let first = tokio::spawn(get(edge.address(), "/"));
    eventually("the first request", SOON, async || upstreams[0].requests() == 1).await;
    let address = edge.address();
    let second = tokio::spawn(async move {
        let mut connection = Connection::http1(address).await?;
        let mut request = client::request("a.example", "/");
        *request.method_mut() = Method::POST;
        *request.body_mut() = client::full("a body that waits");
        connection.send(request).await
    });
    queued(&edge, 1).await;
    upstreams[0].resume();
    let [first, second] = [first, second].map(|task| deadline("the response", SOON, task));
    assert_eq!(first.await.unwrap().unwrap().status, StatusCode::OK);
    let second: Reply = second.await.unwrap().unwrap();
    assert_eq!((second.status, second.json()["body"].as_str()), (StatusCode::OK, Some("a body that waits")));
    assert_eq!(upstreams[0].connections(), 1);
}

#[tokio::test]
async fn requests_of_all_workers_are_served_in_the_order_of_their_arrival() {
    let endpoint = RawEndpoint::start().await;
    let pool = unchecked(&[endpoint.address()]);
    let edge =
        Edge::start(&format!("{pool}max_connections = 1\n[pool.web.timeouts]\nqueue = \"20s\"\nresponse = \"1min\"\n"))
            .await;
    let ask = async |number: usize| {
        let mut client = Raw::open(edge.address()).await;
        client.send(format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
        client
    };
    let mut clients = vec![ask(0).await];
    let mut connection = endpoint.accept().await;
    assert!(connection.until("\r\n\r\n").await.starts_with("GET /0 "));
    // Each client connection belongs to a worker that the kernel chooses: all twelve hardly ever to the same one.
    for number in 1..=12 {
        clients.push(ask(number).await);
        queued(&edge, number).await;
    }
    for (number, client) in clients.iter_mut().enumerate() {
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert!(client.until("\r\n\r\nok").await.starts_with("HTTP/1.1 200"), "{number}");
        if number < 12 {
            let head = connection.until("\r\n\r\n").await;
            assert!(head.starts_with(&format!("GET /{} ", number + 1)), "{head}");
        }
    }
}

#[tokio::test]
async fn a_request_prefers_an_endpoint_with_room_to_waiting() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let edge = Edge::start(&limited(&upstreams, 1, "20s")).await;
    for upstream in &upstreams {
        upstream.on("/never", Behaviour::Silence);
    }
    let _first = tokio::spawn(get(edge.address(), "/never"));
    let asked = async || upstreams.iter().any(|upstream| upstream.requests() == 1);
    eventually("the first request", SOON, asked).await;
    for _ in 0..8 {
        let reply = deadline("the response", SOON, get(edge.address(), "/")).await.unwrap();
        assert_eq!(reply.status, StatusCode::OK);
    }
    let mut requests = upstreams.each_ref().map(Upstream::requests);
    requests.sort_unstable();
    assert_eq!(requests, [1, 8]);
}

#[tokio::test]
async fn a_request_that_cannot_use_the_place_that_it_got_waits_for_another() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let config = checked(&addresses(&upstreams)).replace("[pool.web]\n", "[pool.web]\nmax_connections = 1\n");
    let edge = Edge::start(&format!("{config}[pool.web.timeouts]\nqueue = \"60s\"\n")).await;
    for upstream in &upstreams {
        upstream.on("/never", Behaviour::Silence);
    }
    let first = occupy(&edge, &upstreams).await;
    let second = occupy(&edge, &upstreams).await;
    let waits = tokio::spawn(get(edge.address(), "/"));
    queued(&edge, 1).await;
    first.upstream.on("/healthz", Behaviour::Status(503));
    let address = first.upstream.address().to_string();
    let endpoint = async || {
        let pool = pool(&edge).await;
        let is_first = |endpoint: &&Value| endpoint["address"] == address.as_str();
        pool["endpoints"].as_array().unwrap().iter().find(is_first).unwrap().clone()
    };
    eventually("failed checks", SOON, async || endpoint().await["state"] == "unhealthy").await;
    // Its place goes to the request that waits, which must not use it any more.
    first.client.reset();
    eventually("the free place", SOON, async || endpoint().await["connections_open"] == 0).await;
    let waits_on = async || pool(&edge).await["queue_length"] == 1;
    throughout("the wait for the other endpoint", Duration::from_millis(500), waits_on).await;
    second.client.reset();
    let reply = deadline("the response", SOON, waits).await.unwrap().unwrap();
    assert_eq!((reply.status, second.upstream.requests_for("/")), (StatusCode::OK, 1));
}

#[tokio::test]
async fn a_request_that_waits_for_too_long_is_503_and_so_is_one_too_many() {
    let upstreams = [Upstream::start().await];
    upstreams[0].on("/never", Behaviour::Silence);
    let config = limited(&upstreams, 1, "3s").replace("max_queue = 64", "max_queue = 1");
    let edge = Edge::start(&config).await;
    let _first = tokio::spawn(get(edge.address(), "/never"));
    eventually("the first request", SOON, async || upstreams[0].requests() == 1).await;
    let waits = tokio::spawn(get(edge.address(), "/"));
    queued(&edge, 1).await;
    let unavailable = (StatusCode::SERVICE_UNAVAILABLE, Some("1"));
    let reply = get(edge.address(), "/").await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), unavailable);
    let pool_now = pool(&edge).await;
    assert_eq!((&pool_now["queue_overflows"], &pool_now["queue_timeouts"]), (&1.into(), &0.into()));
    let reply = deadline("the response", SOON, waits).await.unwrap().unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), unavailable);
    let pool_now = pool(&edge).await;
    assert_eq!((&pool_now["queue_length"], &pool_now["queue_timeouts"]), (&0.into(), &1.into()));
    assert_eq!(upstreams[0].requests(), 1);
}

#[tokio::test]
async fn without_a_queue_a_request_is_refused_at_once() {
    let upstreams = [Upstream::start().await];
    upstreams[0].on("/never", Behaviour::Silence);
    let edge = Edge::start(&limited(&upstreams, 1, "0s")).await;
    let _first = tokio::spawn(get(edge.address(), "/never"));
    eventually("the first request", SOON, async || upstreams[0].requests() == 1).await;
    let reply = get(edge.address(), "/").await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    assert_eq!(pool(&edge).await["queued"], 0);
}

#[tokio::test]
async fn a_client_that_disconnects_leaves_the_queue() {
    let upstreams = [Upstream::start().await];
    upstreams[0].on("/never", Behaviour::Silence);
    let edge = Edge::start(&limited(&upstreams, 1, "10m")).await;
    let _first = tokio::spawn(get(edge.address(), "/never"));
    eventually("the first request", SOON, async || upstreams[0].requests() == 1).await;
    let mut http1 = Raw::open(edge.address()).await;
    http1.send(GET).await;
    queued(&edge, 1).await;
    let mut http2 = Connection::http2(edge.address()).await.unwrap();
    let request = tokio::spawn(async move { http2.get("/").await });
    queued(&edge, 2).await;
    http1.reset();
    queued(&edge, 1).await;
    request.abort();
    queued(&edge, 0).await;
    assert_eq!(upstreams[0].requests(), 1);
}

#[tokio::test]
async fn a_drain_lets_the_requests_in_the_queue_finish() {
    let upstreams = [Upstream::start().await];
    let mut edge = Edge::start(&limited(&upstreams, 1, "20s")).await;
    upstreams[0].hang();
    let mut requests: JoinSet<_> = (0..3).map(|_| get(edge.address(), "/")).collect();
    queued(&edge, 2).await;
    edge.process.terminate();
    edge.stops_listening().await;
    upstreams[0].resume();
    while let Some(reply) = deadline("the responses", SOON, requests.join_next()).await {
        assert_eq!(reply.unwrap().unwrap().status, StatusCode::OK);
    }
    assert_eq!(edge.process.exit(SOON).await.code(), Some(0));
}
