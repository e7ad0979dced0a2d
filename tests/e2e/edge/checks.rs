//! What health checks send, and what they say about the answer: gRPC, TLS, and how often.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use serde_json::Value;
use tests::{
    cert::Authority,
    client::get,
    grpc_health::{Answer, GrpcHealth},
    port,
    upstream::Upstream,
    wait::{SOON, eventually, try_eventually},
};

use super::{CHECKS, Edge, LISTENER, addresses, list};

const TIMES: &str = "interval = \"200ms\"\nfast_interval = \"50ms\"\ntimeout = \"5s\"\n";

/// Returns the state of the first endpoint of a pool, and the reason for it.
fn state(status: &Value, pool: &str) -> (String, String) {
    let pools = status["pools"].as_array().unwrap();
    let endpoint = &pools.iter().find(|one| one["name"] == pool).unwrap()["endpoints"][0];
    (endpoint["state"].as_str().unwrap().to_owned(), endpoint["reason"].as_str().unwrap().to_owned())
}

/// Waits until the first endpoint of a pool is in this state, for a reason that begins so.
async fn until(edge: &Edge, pool: &str, expected: &str, reason: &str) {
    let mut last = None;
    let settled = try_eventually(SOON, async || {
        let (state, why) = last.insert(state(&edge.status().await, pool));
        (state == expected && why.starts_with(reason)).then_some(())
    })
    .await;
    assert!(settled.is_some(), "{pool} is not {expected}, {reason:?}, but {last:?}");
}

#[tokio::test]
async fn the_grpc_health_service_decides_which_endpoint_gets_requests() {
    let tasks: [Upstream; 2] = Upstream::start_tasks().await;
    let health_port = port::free();
    let mut health = Vec::new();
    for task in &tasks {
        let server = GrpcHealth::start_at(SocketAddr::new(task.address().ip(), health_port), None).await;
        server.set("shop.Cart", Answer::Serving(1));
        health.push(server);
    }
    let edge = Edge::start(&format!(
        "{LISTENER}[pool.cart]\nendpoints = {}\n[pool.cart.health]\nprotocol = \"grpc\"\nservice = \"shop.Cart\"\n\
         host = \"cart.example\"\nheaders = {{ x-probe = \"edge\" }}\nport = {health_port}\n{TIMES}",
        list(&addresses(&tasks))
    ))
    .await;
    until(&edge, "cart", "healthy", "SERVING").await;
    let call = &health[0].calls()[0];
    assert_eq!((call.target.as_str(), call.service.as_str()), ("http://cart.example", "shop.Cart"));
    for (name, value) in [
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("x-probe", "edge"),
        ("user-agent", "edge-health"),
        ("grpc-timeout", "5000m"),
    ] {
        assert_eq!(call.fields[name], value);
    }
    for (answer, reason) in [
        (Answer::Serving(2), "NOT_SERVING"),
        (Answer::Serving(0), "UNKNOWN"),
        (Answer::Status(12), "gRPC status 12, UNIMPLEMENTED"),
        (Answer::Http(502), "status 502 instead of gRPC"),
    ] {
        health[0].set("shop.Cart", answer);
        until(&edge, "cart", "unhealthy", reason).await;
    }
    let before = tasks[0].requests();
    for _ in 0..10 {
        assert_eq!(get(edge.address(), "/").await.unwrap().status, http::StatusCode::OK);
    }
    assert_eq!(tasks[0].requests(), before);
    health[0].set("shop.Cart", Answer::Serving(1));
    until(&edge, "cart", "healthy", "SERVING").await;
}

#[tokio::test]
async fn a_service_that_the_server_does_not_know_is_named() {
    let server = GrpcHealth::start().await;
    server.set("", Answer::Serving(1));
    let pool = |name: &str, keys: &str| {
        let address = server.address();
        format!("[pool.{name}]\nendpoints = \"{address}\"\n[pool.{name}.health]\nprotocol = \"grpc\"\n{keys}{TIMES}")
    };
    let pools = pool("server", "") + &pool("other", "service = \"shop.Cart\"\n");
    let edge = Edge::start(&format!("{LISTENER}[[route]]\npool = \"server\"\n{pools}")).await;
    until(&edge, "server", "healthy", "SERVING").await;
    until(&edge, "other", "unhealthy", "gRPC status 5, NOT_FOUND").await;
}

#[tokio::test]
async fn the_certificate_of_an_endpoint_is_verified_as_configured() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (root, other_root) = (authority.root_file(), other.root_file());
    let start = async |certificate| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let server = GrpcHealth::start_at(address, Some(&certificate)).await;
        server.set("", Answer::Serving(1));
        server
    };
    let named = start(authority.issue("named", &["web.example", "127.0.0.1"])).await;
    let expired = start(authority.issue_expired("expired", &["127.0.0.1"])).await;
    let (named, expired) = (named.address(), expired.address());
    let file = |root: &std::path::Path| format!("tls.ca = \"{}\"\n", root.display());
    let (root, other_root) = (file(&root), file(&other_root));
    let name = |name: &str| format!("tls.server_name = \"{name}\"\n");
    let grpc = "protocol = \"grpc\"\n";
    let pools = [
        // Its name is its address, or that of the host.
        ("address", named, format!("{grpc}{root}"), "healthy", "SERVING"),
        ("host", named, format!("{grpc}{root}host = \"web.example:1\"\n"), "healthy", "SERVING"),
        ("name", named, format!("{grpc}{root}{}", name("web.example")), "healthy", "SERVING"),
        ("connects", named, root.clone(), "healthy", "TLS handshake completed"),
        ("unverified", expired, format!("{grpc}tls.verify = false\n"), "healthy", "SERVING"),
        (
            "another-name",
            named,
            format!("{grpc}{root}{}", name("other.example")),
            "unhealthy",
            "TLS: invalid peer certificate: certificate not valid for name \"other.example\"",
        ),
        ("expired", expired, root.clone(), "unhealthy", "TLS: invalid peer certificate: certificate expired"),
        ("another-authority", named, other_root, "unhealthy", "TLS: invalid peer certificate: "),
        ("system", named, "tls = true\n".to_owned(), "unhealthy", "TLS: invalid peer certificate: UnknownIssuer"),
        // The server speaks nothing but HTTP/2.
        (
            "http",
            named,
            format!("{root}path = \"/\"\n"),
            "unhealthy",
            "TLS: received fatal alert: NoApplicationProtocol",
        ),
    ];
    let mut config = format!("{LISTENER}[[route]]\npool = \"address\"\n");
    for (pool, address, keys, ..) in &pools {
        config += &format!("[pool.{pool}]\nendpoints = \"{address}\"\n[pool.{pool}.health]\n{keys}{TIMES}");
    }
    let edge = Edge::start(&config).await;
    for (pool, _, _, state, reason) in &pools {
        until(&edge, pool, state, reason).await;
    }
}

#[tokio::test]
async fn http_is_requested_over_tls_and_a_reload_reads_the_authorities_again() {
    let upstream = Upstream::start().await;
    let (authority, other) = (Authority::new(), Authority::new());
    let certificate = authority.issue("web", &["web.example"]);
    // The real server with TLS is another edge.
    let files = format!(
        "certificates = [{{ certificate = \"{}\", key = \"{}\" }}]",
        certificate.certificate_file.display(),
        certificate.key_file.display()
    );
    let endpoints = list(&[upstream.address()]);
    let server = Edge::start(&format!(
        "{LISTENER}[listener.tls]\n{files}\n[pool.web]\nendpoints = {endpoints}\nhealth = false\n"
    ))
    .await;
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    fs::copy(other.root_file(), &ca).unwrap();
    let config = format!(
        "{LISTENER}[pool.web]\nendpoints = \"{}\"\n[pool.web.health]\npath = \"/healthz\"\nhost = \"web.example\"\n\
         body = \"/healthz\"\n{TIMES}[pool.web.health.tls]\nca = \"{}\"\n",
        server.address(),
        ca.display()
    );
    let mut edge = Edge::start(&config).await;
    until(&edge, "web", "unhealthy", "TLS: invalid peer certificate: ").await;
    assert_eq!(upstream.requests(), 0);
    fs::copy(authority.root_file(), &ca).unwrap();
    edge.reload(&config).await;
    until(&edge, "web", "healthy", "status 200").await;
    assert!(upstream.requests_for("/healthz") > 0);
    fs::write(&ca, "nothing").unwrap();
    let refused = edge.reload(&config).await;
    assert!(refused.contains("ca.pem: is not PEM"), "{refused}");
    until(&edge, "web", "healthy", "status 200").await;
}

#[tokio::test]
async fn checks_are_rare_without_requests_and_frequent_from_the_first_one_on() {
    let upstream = Upstream::start().await;
    let checks = CHECKS.replace("interval = \"200ms\"", "interval = \"200ms\"\nidle_interval = \"5s\"");
    let config = format!("{LISTENER}[pool.web]\nendpoints = {}\n{checks}", list(&[upstream.address()]));
    let edge = Edge::start(&config).await;
    let checks = || upstream.requests_for("/healthz");
    eventually("the first check", SOON, async || checks() > 0).await;
    let (mut count, mut since) = (checks(), Instant::now());
    eventually("no check for ten intervals", SOON, async || {
        if checks() != count {
            (count, since) = (checks(), Instant::now());
        }
        since.elapsed() >= Duration::from_secs(2)
    })
    .await;
    let before = checks();
    assert_eq!(get(edge.address(), "/").await.unwrap().status, http::StatusCode::OK);
    // At the idle interval, they would take a minute and a half.
    eventually("frequent checks", SOON, async || checks() >= before + 20).await;
}
