//! Clients that get no response from an endpoint, and the log lines about them.

use tests::{
    client::raw::{self, Raw},
    upstream::Upstream,
    wait::{SOON, deadline, eventually},
};

use super::{Edge, LISTENER, list};

/// Whether the edge's log has a line with all of these.
fn says(edge: &Edge, parts: &[&str]) -> bool {
    edge.process.lines().iter().any(|line| parts.iter().all(|part| line.contains(part)))
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
    for reason in ["bad_request", "head did not arrive in time", "TLS handshake failed"] {
        let logged = async || says(&edge, &["client refused", reason, "\"client\":\"127.0.0.1:"]);
        eventually(reason, SOON, logged).await;
    }
}
