//! The limits for each client.

use std::net::{IpAddr, Ipv4Addr};

use http::StatusCode;
use tests::{
    client::{
        Connection, get,
        raw::{self, Raw},
        request,
        tls::Offer,
    },
    upstream::{Behaviour, Upstream},
    wait::{SOON, eventually},
};

use super::{
    Edge, LISTENER, list,
    refused::{refusals, says},
    unchecked,
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// Another client than 127.0.0.1.
const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Sends a request and expects its response.
async fn visit(client: &mut Raw) {
    client.send(REQUEST).await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_another_address_is_served() {
    let upstream = Upstream::start().await;
    let edge =
        Edge::start(&format!("[limits]\nconnections_per_client = 2\n{}", unchecked(&[upstream.address()]))).await;
    let mut open = [Raw::open(edge.address()).await, Raw::open(edge.address()).await];
    for client in &mut open {
        visit(client).await;
    }
    assert_eq!(raw::exchange(edge.address(), REQUEST).await, "");
    visit(&mut Raw::open_from(OTHER, edge.address()).await).await;
    let words = ["\"reason\":\"connections_per_client\"", "\"client\":\"127.0.0.1:", "too many connections"];
    eventually("the line", SOON, async || says(&edge, &words)).await;
    assert_eq!(refusals(&edge, "connections_per_client").await, 1);
    drop(open);
    let served = async || get(edge.address(), "/").await.is_ok_and(|reply| reply.status == StatusCode::OK);
    eventually("room for another connection", SOON, served).await;
}

#[tokio::test]
async fn unfinished_handshakes_are_limited_and_finished_ones_do_not_count() {
    let upstream = Upstream::start().await;
    let pool = format!("[pool.web]\nendpoints = {}\nhealth = false\n", list(&[upstream.address()]));
    let limits = "[limits]\nhandshakes_per_client = 2\n[timeouts]\nhandshake = \"1min\"\n";
    let edge = Edge::start(&format!("{limits}{LISTENER}[listener.tls]\n{pool}")).await;
    let offer = Offer::accepting_any_certificate;
    let mut finished = Vec::new();
    for _ in 0..3 {
        let mut connection = Connection::https(edge.address(), "localhost", offer()).await.unwrap();
        // The client finishes before the edge does; the response shows that the edge has finished, too.
        assert_eq!(connection.get("/").await.unwrap().status, StatusCode::OK);
        finished.push(connection);
    }
    let unfinished = [Raw::open(edge.address()).await, Raw::open(edge.address()).await];
    let open = async || {
        let status = edge.status().await;
        let workers = status["workers"].as_array().unwrap();
        workers.iter().filter_map(|worker| worker["open"].as_u64()).sum::<u64>() == 5
    };
    eventually("five open connections", SOON, open).await;
    assert_eq!(Raw::open(edge.address()).await.rest().await, "");
    assert_eq!(refusals(&edge, "handshakes_per_client").await, 1);
    let mut other = Raw::open_from(OTHER, edge.address()).await;
    other.send(REQUEST).await;
    assert!(other.rest().await.contains("use https"));
    drop(unfinished);
    let served = async || Connection::https(edge.address(), "localhost", offer()).await.is_ok();
    eventually("room for another handshake", SOON, served).await;
}

#[tokio::test]
async fn one_request_too_many_gets_429_with_both_protocols() {
    let upstream = Upstream::start().await;
    upstream.on("/slow", Behaviour::Silence);
    let edge = Edge::start(&format!("[limits]\nrequests_per_client = 1\n{}", unchecked(&[upstream.address()]))).await;
    let mut slow = Raw::open(edge.address()).await;
    slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the slow request", SOON, async || upstream.requests() == 1).await;
    let clients = [Connection::http1(edge.address()).await, Connection::http2(edge.address()).await];
    for client in clients {
        let mut client = client.unwrap();
        // The connection serves further requests.
        for _ in 0..2 {
            let reply = client.get("/").await.unwrap();
            assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, Some("1")));
        }
    }
    visit(&mut Raw::open_from(OTHER, edge.address()).await).await;
    assert_eq!((refusals(&edge, "requests_per_client").await, upstream.requests()), (4, 2));
    let status = edge.status().await;
    let errors = status["errors"].as_array().unwrap();
    assert!(errors.iter().any(|error| error["kind"] == "too_many_requests" && error["count"] == 4), "{errors:?}");
    slow.reset();
    let served = async || get(edge.address(), "/").await.is_ok_and(|reply| reply.status == StatusCode::OK);
    eventually("the end of the slow request", SOON, served).await;
}

#[tokio::test]
async fn requests_above_the_rate_get_429() {
    let upstream = Upstream::start().await;
    let limits = "[limits]\nrequest_rate_per_client = 1\nrequest_burst_per_client = 2\n";
    let edge = Edge::start(&format!("{limits}{}", unchecked(&[upstream.address()]))).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(&REQUEST.repeat(49)).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let responses = client.rest().await;
    let count = |status: &str| responses.matches(&format!("HTTP/1.1 {status} ")).count();
    let (served, refused) = (count("200"), count("429"));
    assert_eq!(served + refused, 50);
    // Only a machine that needs a second for each of them serves all.
    assert!(served >= 2 && refused >= 1, "{served} served");
    assert_eq!(refusals(&edge, "request_rate_per_client").await, refused as u64);
}

#[tokio::test]
async fn requests_from_a_trusted_proxy_count_for_the_clients_that_it_names() {
    let upstream = Upstream::start().await;
    upstream.on("/slow", Behaviour::Silence);
    let limits = "trusted_proxies = [\"127.0.0.1\"]\n[limits]\nrequests_per_client = 1\nconnections_per_client = 1\n";
    let edge = Edge::start(&format!("{limits}{}", unchecked(&[upstream.address()]))).await;
    let mut slow = Raw::open(edge.address()).await;
    slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.9, 192.0.2.7\r\n\r\n").await;
    eventually("the slow request", SOON, async || upstream.requests() == 1).await;
    for (named, status) in [
        ("192.0.2.7", StatusCode::TOO_MANY_REQUESTS),
        ("192.0.2.8", StatusCode::OK),
        // What the client itself wrote.
        ("192.0.2.7, 192.0.2.9", StatusCode::OK),
        ("unknown", StatusCode::OK),
    ] {
        let mut client = Connection::http1(edge.address()).await.unwrap();
        let mut request = request("a", "/");
        request.headers_mut().insert("x-forwarded-for", named.parse().unwrap());
        assert_eq!(client.send(request).await.unwrap().status, status, "{named}");
    }
    let words = ["\"reason\":\"requests_per_client\"", "\"client\":\"192.0.2.7\""];
    eventually("the line", SOON, async || says(&edge, &words)).await;
}
