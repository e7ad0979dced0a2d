//! The program as a process: settings, exit codes, signals, limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use http::header;
use rustix::process::Signal;
use serde_json::{Value, json};
use tests::client::{Connection, raw, request};
use tests::manager::{Manager, Swarm};
use tests::port;
use tests::process::binary;
use tests::recorded::Recorded;
use tests::wait::{SOON, eventually};

use super::stream::Stream;
use super::{Watch, plan};

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary("watch"));
    command.env_clear().envs(variables.iter().copied()).args(arguments).output().unwrap()
}

#[test]
fn an_invalid_setting_exits_with_2_and_is_named() {
    let table: [(&[&str], &str); 5] = [
        (&["--listen", "8080"], "--listen (WATCH_LISTEN)"),
        (&["--docker", "engine"], "--docker (DOCKER_HOST)"),
        (&["check", "--edges", "tasks.edge"], "--edges (WATCH_EDGES)"),
        (&["healthcheck", "--listen", "8080"], "--listen (WATCH_LISTEN)"),
        (&["--no-such-flag"], "--no-such-flag"),
    ];
    for (arguments, part) in table {
        let output = run(arguments, &[]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    let output = run(&[], &[("WATCH_FRESH", "soon")]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn check_prints_the_settings_and_ignores_empty_variables() {
    let output = run(&["check"], &[("WATCH_EDGES", "tasks.edge:9901"), ("DOCKER_HOST", ""), ("REDIS_URL", "")]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for line in ["edges            tasks.edge:9901", "engine           unix:///var/run/docker.sock"] {
        assert!(text.lines().any(|other| other == line), "{text}");
    }
}

#[tokio::test]
async fn a_signal_ends_streams_without_a_delay_and_then_the_program() {
    let engine = Recorded::start("steady").await;
    for signal in [Signal::TERM, Signal::INT] {
        let mut watch = Watch::start(&engine.url(), &["--grace", "15s"]).await;
        let mut stream = Stream::open(watch.address, None).await;
        stream.until("snapshot").await;
        watch.process.signal(signal);
        assert_eq!(watch.process.exit(SOON).await.code(), Some(0), "{:?}", watch.process.lines());
        assert!(
            !watch.process.lines().iter().any(|line| line.contains("grace period")),
            "a connection delayed the end"
        );
    }
}

#[tokio::test]
async fn the_health_check_reports_liveness() {
    let engine = Recorded::start("lost").await;
    let watch = Watch::start(&engine.url(), &[]).await;
    let listen = watch.address.to_string();
    let check = || run(&["healthcheck", "--listen", &listen], &[]).status.code();
    assert_eq!(check(), Some(0), "liveness depends on the engine");
    drop(watch);
    assert_eq!(check(), Some(1));
}

#[tokio::test]
async fn without_a_secret_only_this_machine_gets_the_page_unless_it_is_opened() {
    let engine = Recorded::start("steady").await;
    let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port::free()));
    let mut process = plan(&engine.url(), everywhere).start();
    process.line("only clients on this machine may read the page").await;
    let closed = Watch { process, address: SocketAddr::from((Ipv4Addr::LOCALHOST, everywhere.port())) };
    let opened = Watch::start(&engine.url(), &["--open"]).await;
    // As a proxy on this machine forwards it.
    for (watch, status) in [(&closed, 403), (&opened, 200)] {
        assert_eq!(watch.get("/api/swarm").await.status, 200);
        let mut connection = Connection::http1(watch.address).await.unwrap();
        let mut forwarded = request("watch", "/api/swarm");
        forwarded.headers_mut().insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
        assert_eq!(connection.send(forwarded).await.unwrap().status, status);
    }
}

#[tokio::test]
async fn a_secret_from_a_file_is_required() {
    let engine = Recorded::start("steady").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "ops:s3cret\n").unwrap();
    let watch = Watch::start(&engine.url(), &["--password-file", file.to_str().unwrap()]).await;
    let reply = watch.get("/api/swarm").await;
    assert_eq!(reply.status, 401);
    assert_eq!(reply.header("www-authenticate"), Some("Basic realm=\"watch\", charset=\"UTF-8\""));
    let mut connection = Connection::http1(watch.address).await.unwrap();
    let mut with_password = request("watch", "/api/swarm");
    with_password.headers_mut().insert(header::AUTHORIZATION, "Basic b3BzOnMzY3JldA==".parse().unwrap());
    assert_eq!(connection.send(with_password).await.unwrap().status, 200);
    assert_eq!(watch.get("/healthz").await.status, 200);
    assert!(!watch.process.lines().iter().any(|line| line.contains("s3cret")));
}

#[tokio::test]
async fn large_requests_are_refused_and_idle_connections_make_room() {
    let engine = Recorded::start("steady").await;
    let watch = Watch::start(&engine.url(), &["--max-connections", "8", "--max-streams", "2"]).await;
    let large = format!("GET /healthz HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    let answer = raw::exchange(watch.address, large.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let idle: Vec<raw::Raw> = futures_util::future::join_all((0..20).map(|_| raw::Raw::open(watch.address))).await;
    eventually("room", SOON, async || tests::client::get(watch.address, "/healthz").await.is_ok()).await;
    drop(idle);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = Stream::open(watch.address, None).await;
        stream.until("snapshot").await;
        streams.push(stream);
    }
    let reply = stream_status(watch.address).await;
    assert!(reply.contains(" 503 ") && reply.contains("retry-after: 1"), "{reply}");
    streams.pop();
    eventually("room for a stream", SOON, async || stream_status(watch.address).await.contains(" 200 ")).await;
}

#[tokio::test]
async fn one_address_holds_only_its_share_of_the_streams() {
    let engine = Recorded::start("steady").await;
    let watch = Watch::start(&engine.url(), &["--max-streams-per-client", "1"]).await;
    let mut stream = Stream::open(watch.address, None).await;
    stream.until("snapshot").await;
    let reply = stream_status(watch.address).await;
    assert!(reply.contains(" 429 ") && reply.contains("retry-after: 1"), "{reply}");
    drop(stream);
    eventually("a place", SOON, async || stream_status(watch.address).await.contains(" 200 ")).await;
}

#[tokio::test]
async fn a_name_that_an_attacker_may_own_is_refused_unless_it_is_listed() {
    let engine = Recorded::start("steady").await;
    let watch = Watch::start(&engine.url(), &["--hosts", "watch.example.com"]).await;
    for (host, status) in [("evil.example", 421), ("watch.example.com", 200), ("watch:8080", 200)] {
        let mut connection = Connection::http1(watch.address).await.unwrap();
        assert_eq!(connection.send(request(host, "/api/swarm")).await.unwrap().status, status, "{host}");
    }
}

#[tokio::test]
async fn a_manager_that_is_slow_to_describe_itself_is_polled_all_the_same() {
    let engine = Manager::start(Swarm { silent: Some("/info"), ..Swarm::new(3, &[("web", 2)]) }).await;
    let watch = Watch::start(&engine.url(), &[]).await;
    let has_nodes = |cluster: &Value| cluster["nodes"].as_object().is_some_and(|nodes| nodes.len() == 3);
    let cluster = watch.until("the nodes", has_nodes).await;
    assert_eq!((&cluster["source"]["error"], &cluster["source"]["node"]), (&Value::Null, &json!("")));
    for path in ["/api/nodes", "/readyz"] {
        assert_eq!(watch.get(path).await.status, 200, "{path}");
    }
    engine.change(|swarm| swarm.set_ready(2, false));
    watch.until("the lost node", |cluster| cluster["nodes"]["node2"]["state"] == "down").await;
}

#[tokio::test]
async fn a_manager_that_is_slow_to_tell_its_version_again_is_asked_in_the_known_one() {
    let engine = Manager::start(Swarm::new(3, &[("web", 2)])).await;
    let watch = Watch::start(&engine.url(), &[]).await;
    watch.until("the swarm", |cluster| cluster["source"]["at"].is_number()).await;
    engine.change(|swarm| (swarm.silent, swarm.refusal) = (Some("/version"), Some("busy".to_owned())));
    watch.until("the failure", |cluster| cluster["source"]["error"].is_string()).await;
    engine.change(|swarm| swarm.refusal = None);
    watch.until("the swarm again", |cluster| cluster["source"]["error"].is_null()).await;
}

async fn stream_status(address: SocketAddr) -> String {
    let mut connection = raw::Raw::open(address).await;
    connection.send(b"GET /api/events HTTP/1.0\r\n\r\n").await;
    connection.until("\r\n\r\n").await
}

#[tokio::test]
async fn an_engine_without_lists_does_not_count_as_connected_and_is_polled_with_backoff() {
    let engine = Recorded::start("lost").await;
    let started = Instant::now();
    let mut watch = Watch::start(&engine.url(), &[]).await;
    let attempts = || engine.requests().iter().filter(|(_, target)| target.ends_with("/version")).count();
    eventually("four attempts", SOON, async || attempts() >= 4).await;
    // A lower bound: backoffs of one, two and four seconds.
    assert!(started.elapsed() >= Duration::from_secs(7), "{:?}", started.elapsed());
    assert!(!watch.process.lines().iter().any(|line| line.contains("connected to the engine")));
    engine.set("steady");
    watch.process.line("connected to the engine").await;
}
