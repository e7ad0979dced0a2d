//! Access control: which requests reach the engine, and which data leaves `watch`.

use std::collections::BTreeSet;

use tests::client::raw;
use tests::client::{Connection, request};
use tests::recorded::Recorded;
use tests::wait::{SOON, eventually};

use super::Watch;

/// The resources of the engine that `watch` reads.
const READ: [&str; 6] = ["events", "info", "nodes", "services", "tasks", "version"];

/// Returns the paths requested from the engine, without version and query. Fails if one is forbidden.
fn requested(engine: &Recorded) -> BTreeSet<String> {
    let paths = engine.requests().into_iter().map(|(method, target)| {
        assert_eq!(method, "GET", "{target}");
        let path = target.split('?').next().unwrap();
        let path = path.strip_prefix("/v1.41").unwrap_or(path).to_owned();
        assert!(READ.iter().any(|name| path == format!("/{name}")), "{target} was requested from the engine");
        path
    });
    paths.collect()
}

#[tokio::test]
async fn no_path_and_no_method_leads_to_the_engine() {
    let engine = Recorded::start("steady").await;
    let watch = Watch::start(&engine.url(), &[]).await;
    watch.until("a cluster state", |cluster| !cluster["source"]["at"].is_null()).await;
    let paths = [
        "/containers/json",
        "/v1.41/containers/json",
        "/v1.41/services",
        "/nodes",
        "/secrets",
        "/swarm/unlockkey",
        "/images/json",
        "/_ping",
        "/info",
        "/events",
        "/docker",
        "/api/docker/nodes",
        "/api/swarm/../../containers/json",
        "/api/%2e%2e/%2e%2e/containers/json",
        "/api%2Fswarm",
        "/..%2f..%2fcontainers%2fjson",
        "//containers/json",
        "/%00",
        "/api/swarm?path=/containers/json",
        "/api/nodes?wait=0&host=unix:///var/run/docker.sock",
        "http://docker/containers/json",
        "http://localhost/v1.41/secrets",
        "*",
    ];
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PROPFIND"];
    for path in paths {
        for method in methods {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: watch\r\nConnection: close\r\n\r\n");
            let answer = raw::exchange(watch.address, head.as_bytes()).await;
            let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
            let known = path.starts_with("/api/swarm?") || path.starts_with("/api/nodes?");
            let expected: &[&str] = match method {
                "GET" | "HEAD" if known => &["200"],
                _ if known => &["405"],
                _ => &["404", "400"],
            };
            // An invalid request target may be closed without a response.
            assert!(answer.is_empty() || expected.contains(&status.as_str()), "{method} {path}: {answer}");
        }
    }
    // The engine's path in headers that proxies interpret.
    let mut connection = Connection::http1(watch.address).await.unwrap();
    for (name, value) in [
        ("x-original-url", "/containers/json"),
        ("x-rewrite-url", "/containers/json"),
        ("x-forwarded-host", "docker"),
        ("upgrade", "websocket"),
        ("x-http-method-override", "DELETE"),
    ] {
        let mut request = request("watch", "/api/swarm");
        request.headers_mut().insert(name, value.parse().unwrap());
        assert_eq!(connection.send(request).await.unwrap().status, 200, "{name}");
    }
    let all: BTreeSet<String> = READ.iter().map(|path| format!("/{path}")).collect();
    eventually("a request for each resource", SOON, async || requested(&engine) == all).await;
}

#[tokio::test]
async fn no_response_contains_secrets() {
    let engine = Recorded::start("steady").await;
    let watch = Watch::start(&engine.url(), &["--log", "trace"]).await;
    watch.until("a cluster state", |cluster| !cluster["source"]["at"].is_null()).await;
    for situation in ["updating", "down", "steady"] {
        engine.set(situation);
        let update = match situation {
            "updating" => "updating",
            "down" => "completed",
            _ => "",
        };
        watch
            .until(situation, |cluster| {
                let state = &super::entry(cluster, "services", "name", "shop_web")["update"]["state"];
                state.as_str().unwrap_or_default() == update
            })
            .await;
        for path in ["/", "/api/swarm", "/api/nodes", "/api/local", "/metrics", "/healthz", "/readyz"] {
            let body = watch.get(path).await.text();
            assert!(!body.is_empty() && !body.contains("s3cret"), "{path}");
        }
    }
    let stream = super::stream::Stream::open(watch.address, None).await.until("snapshot").await;
    assert!(stream.data.to_string().contains("shop_web"));
    assert!(!stream.data.to_string().contains("s3cret"));
    let log = watch.process.lines();
    assert!(log.len() > 10 && !log.iter().any(|line| line.contains("s3cret")), "the trace log contains a secret");
}
