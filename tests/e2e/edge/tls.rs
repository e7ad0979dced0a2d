//! TLS: which certificate a client gets, and what happens when its files change.

use std::{net::SocketAddr, process::Stdio};

use rustls::ProtocolVersion;
use tests::{
    cert::{Authority, Certificate},
    client::{Connection, Error, load::Load, raw::Raw, tls::Offer},
    upstream::Upstream,
    wait::{SOON, deadline, eventually},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
};

use super::{Edge, LISTENER, assert_all_ok, list, raw_endpoint::RawEndpoint};

/// A configuration with one pool and a TLS listener with these certificates, or with a self-signed one.
fn config(certificates: &[&Certificate], upstream: &Upstream) -> String {
    let files: Vec<String> = certificates
        .iter()
        .map(|files| {
            let (certificate, key) = (files.certificate_file.display(), files.key_file.display());
            format!("{{ certificate = \"{certificate}\", key = \"{key}\" }}")
        })
        .collect();
    let files = if files.is_empty() { String::new() } else { format!("certificates = [{}]\n", files.join(", ")) };
    let pool = format!("[pool.web]\nendpoints = {}\nhealth = false\n", list(&[upstream.address()]));
    format!("{LISTENER}[listener.tls]\n{files}{pool}")
}

/// Returns the certificate that a client gets for `name`. It must be valid for that name.
async fn presented(edge: SocketAddr, name: &str, authority: &Authority) -> Result<Vec<u8>, Error> {
    let connection = Connection::https(edge, name, Offer::trusting(authority.roots())).await?;
    Ok(connection.tls().unwrap().certificate.clone())
}

#[tokio::test]
async fn the_server_name_selects_the_certificate_and_the_first_is_the_default() {
    let upstream = Upstream::start().await;
    let authority = Authority::new();
    let first = authority.issue("first", &["www.example.com", "127.0.0.1"]);
    let second = authority.issue("second", &["*.example.org"]);
    let edge = Edge::start(&config(&[&first, &second], &upstream)).await;
    let www = presented(edge.address(), "www.example.com", &authority).await.unwrap();
    let org = presented(edge.address(), "a.example.org", &authority).await.unwrap();
    assert_ne!(www, org);
    // A handshake with an address has no SNI.
    assert_eq!(presented(edge.address(), "127.0.0.1", &authority).await.unwrap(), www);
    let offer = Offer::accepting_any_certificate();
    let unknown = Connection::https(edge.address(), "unknown.example", offer).await.unwrap();
    assert_eq!(unknown.tls().unwrap().certificate, www);
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_supported() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&config(&[], &upstream)).await;
    for (offered, expected) in
        [(&rustls::version::TLS12, ProtocolVersion::TLSv1_2), (&rustls::version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let offer = Offer::accepting_any_certificate().versions(&[offered]);
        let mut connection = Connection::https(edge.address(), "localhost", offer).await.unwrap();
        assert_eq!(connection.tls().unwrap().version, Some(expected));
        assert!(connection.get("/").await.is_ok());
    }
}

#[tokio::test]
async fn without_a_certificate_the_edge_signs_one_for_its_names() {
    let upstream = Upstream::start().await;
    let config =
        config(&[], &upstream).replace("[listener.tls]\n", "[listener.tls]\nself_signed = \"www.example.com\"\n");
    let edge = Edge::start(&config).await;
    let offer = Offer::accepting_any_certificate();
    let connection = Connection::https(edge.address(), "www.example.com", offer.clone()).await.unwrap();
    let certificate = connection.tls().unwrap().certificate.clone();
    let name = b"www.example.com";
    assert!(certificate.windows(name.len()).any(|part| part == name));
    let again = Connection::https(edge.address(), "www.example.com", offer).await.unwrap();
    assert_eq!(again.tls().unwrap().certificate, certificate);
}

#[tokio::test]
async fn plain_http_on_the_tls_port_is_closed_without_waiting_for_a_handshake() {
    let upstream = Upstream::start().await;
    // Longer than the test waits for the close.
    let config = format!("{}[timeouts]\nhandshake = \"1min\"\n", config(&[], &upstream));
    let edge = Edge::start(&config).await;
    let mut plain = Raw::open(edge.address()).await;
    plain.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    plain.rest().await;
    assert!(Connection::https(edge.address(), "localhost", Offer::accepting_any_certificate()).await.is_ok());
}

#[tokio::test]
async fn a_stalled_handshake_times_out() {
    let upstream = Upstream::start().await;
    let config = format!("{}[timeouts]\nhandshake = \"200ms\"\n", config(&[], &upstream));
    let edge = Edge::start(&config).await;
    let mut silent = Raw::open(edge.address()).await;
    assert_eq!(silent.rest().await, "");
}

#[tokio::test]
async fn a_replaced_certificate_is_presented_without_a_signal() {
    let upstream = Upstream::start().await;
    let authority = Authority::new();
    let certificate = authority.issue("site", &["www.example.com"]);
    let edge = Edge::start(&config(&[&certificate], &upstream)).await;
    let before = presented(edge.address(), "www.example.com", &authority).await.unwrap();
    let _replaced = authority.issue("site", &["www.example.com"]);
    eventually("the new certificate", SOON, async || {
        presented(edge.address(), "www.example.com", &authority).await.unwrap() != before
    })
    .await;
}

#[tokio::test]
async fn an_expired_certificate_that_replaces_another_causes_a_warning() {
    let upstream = Upstream::start().await;
    let authority = Authority::new();
    let certificate = authority.issue("site", &["www.example.com"]);
    let mut edge = Edge::start(&config(&[&certificate], &upstream)).await;
    let warning = "has expired: renew it";
    assert!(!edge.process.lines().iter().any(|line| line.contains(warning)));
    let _replaced = authority.issue_expired("site", &["www.example.com"]);
    edge.process.line(warning).await;
}

#[tokio::test]
async fn a_reload_presents_the_new_certificate_and_keeps_open_connections() {
    let upstream = Upstream::start().await;
    let authority = Authority::new();
    let first = authority.issue("first", &["www.example.com"]);
    let second = authority.issue("second", &["www.example.com"]);
    let mut edge = Edge::start(&config(&[&first], &upstream)).await;
    let address = edge.address();
    let offer = Offer::trusting(authority.roots());
    let mut connection = Connection::https(address, "www.example.com", offer).await.unwrap();
    let before = presented(address, "www.example.com", &authority).await.unwrap();
    let outcome = edge.reload(&config(&[&second], &upstream)).await;
    assert!(outcome.contains("is in use"), "{outcome}");
    assert_ne!(presented(address, "www.example.com", &authority).await.unwrap(), before);
    assert!(connection.get("/").await.is_ok());
}

#[tokio::test]
async fn a_key_that_does_not_match_leaves_the_old_certificate_in_place() {
    let upstream = Upstream::start().await;
    let authority = Authority::new();
    let certificate = authority.issue("site", &["www.example.com"]);
    let other = authority.issue("other", &["www.example.com"]);
    let mut edge = Edge::start(&config(&[&certificate], &upstream)).await;
    let address = edge.address();
    let before = presented(address, "www.example.com", &authority).await.unwrap();
    std::fs::copy(other.key_file, &certificate.key_file).unwrap();
    let outcome = edge.reload(&config(&[&certificate], &upstream)).await;
    assert!(outcome.contains("the old configuration stays") && outcome.contains("site."), "{outcome}");
    assert_eq!(presented(address, "www.example.com", &authority).await.unwrap(), before);
}

#[tokio::test]
async fn a_reload_that_enables_tls_does_not_disturb_plain_connections() {
    let upstream = Upstream::start().await;
    let tls = config(&[], &upstream);
    let plain = tls.replace("[listener.tls]\n", "");
    let mut edge = Edge::start(&plain).await;
    let address = edge.address();
    let load = Load::on(&[address]).connections(4).start();
    eventually("load", SOON, async || load.done() > 50).await;
    edge.reload(&tls).await;
    let done = load.done();
    eventually("more load", SOON, async || load.done() > done + 50).await;
    assert!(Connection::https(address, "localhost", Offer::accepting_any_certificate()).await.is_ok());
    assert_all_ok(&load.stop().await);
}

/// RFC 5746 section 4.5: a server that does not renegotiate sends the warning `no_renegotiation`. OpenSSL then ends the
/// connection, and would wait for the alert otherwise.
#[tokio::test]
async fn a_renegotiation_is_refused_at_once() {
    let upstream = Upstream::start().await;
    // Longer than the test waits for the client.
    let timeouts = "[timeouts]\nhead = \"1h\"\nkeep_alive = \"1h\"\n";
    let edge = Edge::start(&format!("{}{timeouts}", config(&[], &upstream))).await;
    let address = edge.address().to_string();
    let mut client = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect", &address])
        .kill_on_drop(true)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("openssl");
    let mut input = client.stdin.take().expect("a pipe");
    // A request before and the command of `s_client` to renegotiate behind it.
    input.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("a running client");
    eventually("the request", SOON, async || upstream.requests() == 1).await;
    input.write_all(b"R\n").await.expect("a running client");
    let output = deadline("the client's end", SOON, client.wait_with_output()).await.expect("an exit code");
    drop(input);
    let (answer, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(answer.contains("HTTP/1.1 200") && errors.contains("no renegotiation"), "{answer}\n{errors}");
    assert!(Connection::https(edge.address(), "localhost", Offer::accepting_any_certificate()).await.is_ok());
}

/// RFC 8446 section 6.1: without a `close_notify` the client knows that the response was cut off.
#[tokio::test]
async fn only_a_complete_response_ends_with_close_notify() {
    let endpoint = RawEndpoint::start().await;
    let pool = format!("[pool.web]\nendpoints = {}\nhealth = false\n", list(&[endpoint.address()]));
    let edge = Edge::start(&format!("{LISTENER}[listener.tls]\n{pool}")).await;
    for (response, is_complete) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", false),
    ] {
        let stream = TcpStream::connect(edge.address()).await.unwrap();
        let offer = Offer::accepting_any_certificate().alpn(&["http/1.1"]);
        let (mut client, _) = offer.handshake(stream, "localhost").await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        endpoint.answer_once(response).await;
        let mut received = Vec::new();
        let end = deadline("the end", SOON, client.read_to_end(&mut received)).await;
        assert_eq!(end.is_ok(), is_complete, "{response:?}: {end:?}");
        let received = String::from_utf8_lossy(&received);
        assert!(received.starts_with("HTTP/1.1 200 OK\r\n") && received.contains("ok"), "{received}");
    }
}
