//! Clients that get no response from an endpoint, and the log lines about them.

use serde_json::Value;
use tests::{
    client::{
        get,
        raw::{self, Raw},
        tls::Offer,
    },
    upstream::Upstream,
    wait::{SOON, deadline, eventually},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{Edge, LISTENER, list};

/// Whether the edge's log has a line with all of these.
pub(super) fn says(edge: &Edge, parts: &[&str]) -> bool {
    edge.process.lines().iter().any(|line| parts.iter().all(|part| line.contains(part)))
}

/// How many clients the edge refused for this reason, by its status. Its metrics, which are read later, have no fewer.
pub(super) async fn refusals(edge: &Edge, reason: &str) -> u64 {
    let status = edge.status().await;
    let counts = status["refusals"].as_array().unwrap();
    let counted = counts.iter().find(|one| one["reason"] == reason).and_then(|one| one["count"].as_u64()).unwrap();
    let metrics = get(edge.admin, "/metrics").await.unwrap().text();
    let series = format!("edge_client_refusals_total{{reason=\"{reason}\"}} ");
    let measured: u64 = metrics.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap();
    assert!(measured >= counted, "{measured} < {counted}");
    counted
}

#[tokio::test]
async fn http_on_a_tls_port_is_answered_with_400() {
    let upstream = Upstream::start().await;
    let pool = format!("[pool.web]\nendpoints = {}\nhealth = false\n", list(&[upstream.address()]));
    let edge = Edge::start(&format!("{LISTENER}[listener.tls]\n{pool}")).await;
    let response = raw::exchange(edge.address(), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 400 ") && response.ends_with("use https"), "{response}");
    let logged = async || says(&edge, &["client refused: HTTP without TLS", "127.0.0.1:"]);
    eventually("a line", SOON, logged).await;
    assert_eq!(upstream.requests(), 0);
}

#[tokio::test]
async fn refused_clients_are_logged_with_address_and_reason() {
    let upstream = Upstream::start().await;
    let pool = format!("[pool.web]\nendpoints = {}\nhealth = false\n", list(&[upstream.address()]));
    let config = format!("[timeouts]\nhead = \"300ms\"\n{LISTENER}{LISTENER}[listener.tls]\n{pool}");
    let edge = Edge::start(&config).await;
    let [plain, tls] = edge.addresses[..] else { panic!("two listeners") };
    let response = raw::exchange(plain, b"not HTTP\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    let mut slow = Raw::open(plain).await;
    slow.send(b"GET / HTTP/1.1\r\n").await;
    assert!(deadline("the response", SOON, slow.rest()).await.starts_with("HTTP/1.1 408 "));
    // The header of a handshake record, followed by bytes that are not a handshake.
    raw::exchange(tls, b"\x16\x03\x01\x00\x05hello").await;
    for (reason, words) in [
        ("bad_request", "not a valid HTTP request"),
        ("head_timeout", "head did not arrive in time"),
        ("handshake_failed", "TLS handshake failed"),
    ] {
        let parts = ["client refused", &format!("\"reason\":\"{reason}\""), words, "\"client\":\"127.0.0.1:"];
        eventually(reason, SOON, async || says(&edge, &parts)).await;
        assert_eq!(refusals(&edge, reason).await, 1, "{reason}");
    }
}

#[tokio::test]
async fn a_connection_that_sends_no_request_is_refused_by_name() {
    let upstream = Upstream::start().await;
    let pool = format!("[pool.web]\nendpoints = {}\nhealth = false\n", list(&[upstream.address()]));
    let edge = Edge::start(&format!("[timeouts]\nhead = \"300ms\"\n{LISTENER}{pool}")).await;
    assert_eq!(Raw::open(edge.address()).await.rest().await, "");
    // It may become the preface of HTTP/2 or a POST.
    let mut slow = Raw::open(edge.address()).await;
    slow.send(b"P").await;
    assert!(slow.rest().await.starts_with("HTTP/1.1 408 "));
    let mut silent = Raw::open(edge.address()).await;
    // The preface of HTTP/2 and empty SETTINGS, without a request.
    silent.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    silent.rest().await;
    eventually("three refusals", SOON, async || refusals(&edge, "head_timeout").await == 3).await;
}

#[tokio::test]
async fn a_refused_head_is_logged_with_the_name_of_the_tls_connection() {
    let upstream = Upstream::start().await;
    let pool = format!("[pool.web]\nendpoints = {}\nhealth = false\n", list(&[upstream.address()]));
    let edge = Edge::start(&format!("{LISTENER}[listener.tls]\n{pool}")).await;
    let offer = || Offer::accepting_any_certificate().alpn(&["http/1.1"]);
    let name = "\"server_name\":\"www.example.com\"";
    for (head, reason) in [
        ("not HTTP\r\n\r\n".to_owned(), "bad_request"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "bad_host"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(40_000)), "head_too_large"),
    ] {
        let stream = TcpStream::connect(edge.address()).await.unwrap();
        let (mut stream, _) = offer().handshake(stream, "www.example.com").await.unwrap();
        // The edge may respond before it has read everything.
        let _sent = stream.write_all(head.as_bytes()).await;
        let parts = ["client refused", &format!("\"reason\":\"{reason}\""), name, "\"client\":\"127.0.0.1:"];
        eventually(reason, SOON, async || says(&edge, &parts)).await;
        assert_eq!(refusals(&edge, reason).await, 1, "{reason}");
    }
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_logged_with_the_name_if_it_arrived() {
    let upstream = Upstream::start().await;
    let pool = format!("[pool.web]\nendpoints = {}\nhealth = false\n", list(&[upstream.address()]));
    let config = format!("[timeouts]\nhandshake = \"500ms\"\n{LISTENER}[listener.tls]\n{pool}");
    let edge = Edge::start(&config).await;
    let hello = Offer::accepting_any_certificate().client_hello("www.example.com");
    for (sent, name) in [(&hello[..hello.len() - 1], Value::Null), (&hello[..], "www.example.com".into())] {
        let before = refusals(&edge, "handshake_timeout").await;
        let mut client = Raw::open(edge.address()).await;
        client.send(sent).await;
        client.rest().await;
        let refused = async || refusals(&edge, "handshake_timeout").await > before;
        eventually("the refusal", SOON, refused).await;
        let names = |line: &String| {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            (line["reason"] == "handshake_timeout").then(|| line["server_name"].clone())
        };
        let logged = async || edge.process.lines().iter().filter_map(names).next_back() == Some(name.clone());
        eventually("the line", SOON, logged).await;
    }
}
