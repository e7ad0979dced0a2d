//! The access log: which line each request writes, and when.

use std::{fs, time::Duration};

use http::Method;
use serde_json::Value;
use tests::{
    client::{self, Connection, get, raw::Raw},
    upstream::{Behaviour, Upstream},
    wait::{SOON, eventually, eventually_some},
};

use super::{Edge, unchecked};

#[tokio::test]
async fn each_request_has_one_line_with_all_fields() {
    let upstream = Upstream::start().await;
    upstream.on("/body", Behaviour::Body(1234));
    let mut edge = Edge::start(&format!("access_log = \"stdout\"\n{}", unchecked(&[upstream.address()]))).await;
    let mut connection = Connection::http1(edge.address()).await.unwrap();
    let mut request = client::request("www.example.com", "/body?a=b'c");
    *request.method_mut() = Method::POST;
    *request.body_mut() = client::full("12345");
    connection.send(request).await.unwrap();
    let line: Value = serde_json::from_str(&edge.process.line("\"protocol\"").await).unwrap();
    for (key, value) in [
        ("method", Value::from("POST")),
        ("host", "www.example.com".into()),
        ("target", "/body?a=b'c".into()),
        ("client", connection.local_address().to_string().into()),
        ("protocol", "HTTP/1.1".into()),
        ("tls", false.into()),
        ("status", 200.into()),
        ("request_bytes", 5.into()),
        ("response_bytes", 1234.into()),
        ("pool", "web".into()),
        ("endpoint", upstream.address().to_string().into()),
        ("attempts", 1.into()),
        ("error", Value::Null),
    ] {
        assert_eq!(line[key], value, "{key}");
    }
}

#[tokio::test]
async fn a_failed_request_is_logged_with_the_reason() {
    let upstream = Upstream::start().await;
    upstream.on("/", Behaviour::CloseBeforeResponse);
    let mut edge = Edge::start(&format!("access_log = \"stdout\"\n{}", unchecked(&[upstream.address()]))).await;
    get(edge.address(), "/").await.unwrap();
    let line: Value = serde_json::from_str(&edge.process.line("\"protocol\"").await).unwrap();
    assert_eq!((&line["status"], &line["error"]), (&502.into(), &"upstream_closed".into()));
    assert_eq!(line["endpoint"], upstream.address().to_string());
}

#[tokio::test]
async fn a_download_that_the_client_aborts_is_not_logged_as_complete() {
    let upstream = Upstream::start().await;
    upstream.on("/", Behaviour::SlowBody { chunks: 10_000, every: Duration::from_millis(20) });
    let mut edge = Edge::start(&format!("access_log = \"stdout\"\n{}", unchecked(&[upstream.address()]))).await;
    let mut client = Raw::open(edge.address()).await;
    client.send(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    client.until("\r\n\r\n").await;
    client.reset();
    let line: Value = serde_json::from_str(&edge.process.line("\"protocol\"").await).unwrap();
    assert_eq!((&line["status"], &line["error"]), (&200.into(), &"client_gone".into()));
}

#[tokio::test]
async fn a_reload_reopens_the_log_file_and_the_end_completes_it() {
    let upstream = Upstream::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (file, rotated) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let config = format!("access_log = \"{}\"\n{}", file.display(), unchecked(&[upstream.address()]));
    let mut edge = Edge::start(&config).await;
    get(edge.address(), "/before").await.unwrap();
    let has = |file: &std::path::Path, part: &str| fs::read_to_string(file).is_ok_and(|text| text.contains(part));
    eventually("the line", SOON, async || has(&file, "/before")).await;
    fs::rename(&file, &rotated).unwrap();
    edge.reload(&config).await;
    get(edge.address(), "/after").await.unwrap();
    eventually("the line in the new file", SOON, async || has(&file, "/after")).await;
    assert!(!has(&rotated, "/after"));
    get(edge.address(), "/last").await.unwrap();
    assert_eq!(edge.drain(SOON).await, Some(0));
    assert!(has(&file, "/last"));
}

#[tokio::test]
async fn a_websocket_is_logged_when_it_closes() {
    let upstream = Upstream::start().await;
    let edge = Edge::start(&format!("access_log = \"stdout\"\n{}", unchecked(&[upstream.address()]))).await;
    let url = format!("ws://{}/chat", edge.address());
    let (socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
    let logged = || edge.process.lines().into_iter().find(|line| line.contains("\"protocol\""));
    assert_eq!(logged(), None);
    drop(socket);
    let line: Value = serde_json::from_str(&eventually_some("the line", SOON, async || logged()).await).unwrap();
    assert_eq!((&line["status"], &line["target"]), (&101.into(), &"/chat".into()));
}
