//! Tests of the HTTP interface without sockets.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::{Access, BasePath, Hosts, Limits, LocalNode, LocalStatus, Response, Web};
use crate::{
    cluster_state::{ClusterState, Delta, Node, NodeState},
    hub::Feed,
    metrics::Metrics,
};

const FRESH: Duration = Duration::from_secs(10);
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
const PATHS: [&str; 8] =
    ["/", "/api/swarm", "/api/events", "/api/nodes", "/api/local", "/metrics", "/healthz", "/readyz"];

/// Returns an interface and its feed, with one node and a fresh response of the engine.
fn web(access: Access, streams: usize) -> (Arc<Web>, Arc<Feed>) {
    let feed = Arc::new(Feed::new("abc".to_owned()));
    feed.set_fresh(Some(Instant::now()));
    feed.publish(cluster(NodeState::Ready));
    let limits = Limits { streams, streams_per_client: streams, fresh: FRESH };
    let hosts = Hosts::parse("watch.example.com").unwrap();
    let web = Web::new(
        feed.clone(),
        Arc::default(),
        access,
        hosts,
        BasePath::parse("/ops").unwrap(),
        limits,
        LocalNode { disk: "/".into() },
    );
    (Arc::new(web), feed)
}

fn cluster(state: NodeState) -> ClusterState {
    let mut cluster = ClusterState::default();
    cluster.source.instance = "abc".to_owned();
    cluster.source.node = "n".to_owned();
    let address = Some("10.0.0.1".to_owned());
    cluster.nodes.insert("n".to_owned(), Node { hostname: "one".to_owned(), address, state, ..Node::default() });
    cluster
}

fn request(method: Method, target: &str, headers: &[(HeaderName, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    request.body(()).unwrap()
}

async fn get(web: &Web, target: &str, headers: &[(HeaderName, &str)]) -> Response {
    web.respond(&request(Method::GET, target, headers), CLIENT).await
}

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Returns the next event of a stream: name, id and data.
async fn event(response: &mut Response) -> Option<(String, String, String)> {
    loop {
        let frame: Bytes = response.body_mut().frame().await?.unwrap().into_data().unwrap();
        let text = String::from_utf8(frame.to_vec()).unwrap();
        assert!(text.ends_with("\n\n"), "{text:?}");
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.unwrap_or_default().to_owned()
        };
        if !field("event").is_empty() {
            return Some((field("event"), field("id"), field("data")));
        }
    }
}

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let (web, _feed) = web(Access::everyone(), 4);
    for path in PATHS.into_iter().chain(["/nowhere"]) {
        let response = get(&web, path, &[]).await;
        for name in ["content-security-policy", "x-content-type-options", "referrer-policy", "cache-control"] {
            assert!(response.headers().contains_key(name), "{path} has no {name}");
        }
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    }
}

#[tokio::test]
async fn everything_is_also_below_the_base_path() {
    let (web, _feed) = web(Access::everyone(), 4);
    for path in PATHS {
        let below = format!("/ops{path}");
        assert_eq!(get(&web, &below, &[]).await.status(), StatusCode::OK, "{below}");
    }
    let page = get(&web, "/ops", &[]).await;
    assert_eq!(
        (page.status(), &page.headers()[header::LOCATION]),
        (StatusCode::PERMANENT_REDIRECT, &"/ops/".parse().unwrap())
    );
    for path in ["/ops/ops/", "/ops/nowhere", "/opsx"] {
        assert_eq!(get(&web, path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn only_get_and_head_of_existing_paths_are_allowed() {
    let (web, _feed) = web(Access::everyone(), 4);
    for path in PATHS {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "PROPFIND"] {
            let response = web.respond(&request(method.parse().unwrap(), path, &[]), CLIENT).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
        }
        let response = web.respond(&request(Method::HEAD, path, &[]), CLIENT).await;
        assert_eq!(response.status(), StatusCode::OK, "HEAD {path}");
    }
    for path in ["/api", "/api/", "/api/swarm/", "/API/swarm", "/api%2Fswarm", "//api/swarm", "/api/../metrics", "/x"] {
        assert_eq!(get(&web, path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn without_a_secret_strangers_get_only_the_probes_and_are_told_why() {
    let (web, _feed) = web(Access::default(), 4);
    for path in PATHS.into_iter().chain(["/nowhere"]) {
        let is_public = ["/healthz", "/readyz"].contains(&path);
        let response = get(&web, path, &[]).await;
        let expected = if is_public { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(response.status(), expected, "{path}");
        if !is_public {
            let text = text(response).await;
            assert!(text.contains("WATCH_PASSWORD_FILE") && text.contains("WATCH_OPEN=yes"), "{text}");
        }
        let response = web.respond(&request(Method::GET, path, &[]), Ipv4Addr::LOCALHOST.into()).await;
        let expected = if path == "/nowhere" { StatusCode::NOT_FOUND } else { StatusCode::OK };
        assert_eq!(response.status(), expected, "{path} on this machine");
    }
}

#[tokio::test]
async fn a_secret_protects_everything_except_the_probes() {
    let (web, _feed) = web(Access::default().token("t0ken").unwrap(), 4);
    for path in PATHS.into_iter().chain(["/nowhere"]) {
        let is_public = ["/healthz", "/readyz"].contains(&path);
        let expected = if is_public { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        let response = get(&web, path, &[]).await;
        assert_eq!(response.status(), expected, "{path}");
        assert_eq!(response.headers().contains_key(header::WWW_AUTHENTICATE), !is_public, "{path}");
        let response = get(&web, path, &[(header::AUTHORIZATION, "Bearer t0ken")]).await;
        let expected = if path == "/nowhere" { StatusCode::NOT_FOUND } else { StatusCode::OK };
        assert_eq!(response.status(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_name_that_somebody_else_may_own_reads_nothing_except_the_probes() {
    let (open, _feed) = web(Access::everyone(), 4);
    let (closed, _feed) = web(Access::default().token("t0ken").unwrap(), 4);
    for path in PATHS.into_iter().chain(["/nowhere"]) {
        let is_public = ["/healthz", "/readyz"].contains(&path);
        for (web, login) in [(&open, None), (&closed, Some((header::AUTHORIZATION, "Bearer t0ken")))] {
            for host in ["evil.example:8080", "tasks.watch"] {
                let headers: Vec<_> = login.clone().into_iter().chain([(header::HOST, host)]).collect();
                let response = get(web, path, &headers).await;
                let expected = if is_public { StatusCode::OK } else { StatusCode::MISDIRECTED_REQUEST };
                assert_eq!(response.status(), expected, "{path} of {host}");
                if !is_public {
                    assert!(text(response).await.contains("--hosts (WATCH_HOSTS)"));
                }
            }
            for host in ["10.0.0.1:8080", "[::1]", "watch:8080", "localhost", "watch.example.com:443"] {
                let headers: Vec<_> = login.clone().into_iter().chain([(header::HOST, host)]).collect();
                let expected = if path == "/nowhere" { StatusCode::NOT_FOUND } else { StatusCode::OK };
                assert_eq!(get(web, path, &headers).await.status(), expected, "{path} of {host}");
            }
        }
    }
}

#[tokio::test]
async fn a_known_state_is_not_sent_again() {
    let (web, feed) = web(Access::everyone(), 4);
    let response = get(&web, "/api/swarm", &[]).await;
    let tag = response.headers()[header::ETAG].to_str().unwrap().to_owned();
    let cluster: ClusterState = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(cluster, *feed.now().state);
    let response = get(&web, "/api/swarm", &[(header::IF_NONE_MATCH, &tag)]).await;
    assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(text(response).await, "");
    feed.publish(self::cluster(NodeState::Down));
    assert_eq!(get(&web, "/api/swarm", &[(header::IF_NONE_MATCH, &tag)]).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_stream_sends_a_snapshot_then_deltas_and_beats() {
    let (web, feed) = web(Access::everyone(), 4);
    let mut stream = get(&web, "/api/events", &[]).await;
    assert_eq!(stream.headers()[header::CONTENT_TYPE], "text/event-stream");
    let (name, id, data) = event(&mut stream).await.unwrap();
    assert_eq!((name.as_str(), id.as_str()), ("snapshot", "abc-1"));
    let mut cluster: ClusterState = serde_json::from_str(&data).unwrap();

    assert_eq!(event(&mut stream).await.unwrap().0, "beat");
    let start = Instant::now();
    assert_eq!(event(&mut stream).await.unwrap().0, "beat");
    assert_eq!(start.elapsed().as_secs(), 5);

    feed.publish(self::cluster(NodeState::Down));
    feed.publish(self::cluster(NodeState::Unknown));
    for id in ["abc-2", "abc-3"] {
        let (name, got, data) = event(&mut stream).await.unwrap();
        assert_eq!((name.as_str(), got.as_str()), ("delta", id));
        serde_json::from_str::<Delta>(&data).unwrap().apply(&mut cluster);
    }
    assert_eq!(cluster, *feed.now().state);

    web.stop();
    assert_eq!(event(&mut stream).await, None, "stopping ends streams");
    assert_eq!(get(&web, "/api/events", &[]).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn a_reconnecting_client_receives_the_missed_deltas_if_they_are_kept() {
    let (web, feed) = web(Access::everyone(), 9);
    feed.publish(cluster(NodeState::Down));
    feed.publish(cluster(NodeState::Ready));
    let last = HeaderName::from_static("last-event-id");
    let cases = [
        ("abc-1", "delta", "abc-2"),
        ("abc-3", "beat", ""),
        ("abc-4", "snapshot", "abc-3"),
        ("other-1", "snapshot", "abc-3"),
        ("nonsense", "snapshot", "abc-3"),
    ];
    for (has, name, id) in cases {
        let mut stream = get(&web, "/api/events", &[(last.clone(), has)]).await;
        let got = event(&mut stream).await.unwrap();
        assert_eq!((got.0.as_str(), got.1.as_str()), (name, id), "{has}");
    }
    for number in 0..400 {
        feed.publish(cluster(if number % 2 == 0 { NodeState::Down } else { NodeState::Ready }));
    }
    let mut stream = get(&web, "/api/events", &[(last, "abc-1")]).await;
    assert_eq!(event(&mut stream).await.unwrap().0, "snapshot", "the deltas are no longer kept");
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_until_one_ends() {
    let (web, _feed) = web(Access::everyone(), 2);
    let first = get(&web, "/api/events", &[]).await;
    let _second = get(&web, "/api/events", &[]).await;
    let third = get(&web, "/api/events", &[]).await;
    assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(third.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(get(&web, "/readyz", &[]).await.status(), StatusCode::OK, "other paths still respond");
    drop(first);
    assert_eq!(get(&web, "/api/events", &[]).await.status(), StatusCode::OK);
    assert!(text(get(&web, "/metrics", &[]).await).await.contains("\nwatch_streams_refused_total 1\n"));
}

#[tokio::test]
async fn one_client_holds_only_its_share_of_the_streams() {
    let (feed, limits) =
        (Arc::new(Feed::new("abc".to_owned())), Limits { streams: 4, streams_per_client: 2, fresh: FRESH });
    feed.publish(cluster(NodeState::Ready));
    let web = Web::new(
        feed,
        Arc::default(),
        Access::everyone(),
        Hosts::default(),
        BasePath::default(),
        limits,
        LocalNode { disk: "/".into() },
    );
    let open = async |last| {
        let client = IpAddr::from([10, 0, 0, last]);
        web.respond(&request(Method::GET, "/api/events", &[]), client).await
    };
    let first = open(1).await;
    let _second = open(1).await;
    let third = open(1).await;
    assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(third.headers().contains_key(header::RETRY_AFTER));
    assert!(text(third).await.contains("--max-streams-per-client (WATCH_MAX_STREAMS_PER_CLIENT)"));
    let others = [open(2).await, open(3).await];
    assert!(others.iter().all(|other| other.status() == StatusCode::OK), "others have room");
    assert_eq!(open(4).await.status(), StatusCode::SERVICE_UNAVAILABLE, "all are open");
    drop(first);
    assert_eq!(open(1).await.status(), StatusCode::OK);
    assert!(text(get(&web, "/metrics", &[]).await).await.contains("\nwatch_streams_refused_total 2\n"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_receives_a_snapshot_instead_of_dropped_deltas() {
    let (web, feed) = web(Access::everyone(), 2);
    let mut stream = get(&web, "/api/events", &[]).await;
    assert_eq!(event(&mut stream).await.unwrap().0, "snapshot");
    for number in 0..1000 {
        feed.publish(cluster(if number % 2 == 0 { NodeState::Down } else { NodeState::Ready }));
    }
    let (name, id, _data) = event(&mut stream).await.unwrap();
    assert_eq!((name.as_str(), id.as_str()), ("snapshot", "abc-1001"));
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_of_nodes_returns_on_a_change_or_at_its_deadline() {
    let (web, feed) = web(Access::everyone(), 4);
    let response = get(&web, "/api/nodes?wait=30", &[]).await;
    let tag = response.headers()[header::ETAG].to_str().unwrap().to_owned();
    let nodes: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(nodes["nodes"], serde_json::json!([{"address": "10.0.0.1", "hostname": "one", "ready": true}]));
    assert_eq!(format!("\"{}\"", nodes["version"].as_str().unwrap()), tag);

    let keep_fresh = tokio::spawn({
        let feed = feed.clone();
        async move {
            loop {
                feed.set_fresh(Some(Instant::now()));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    });
    let start = Instant::now();
    let response = get(&web, "/api/nodes?wait=30", &[(header::IF_NONE_MATCH, &tag)]).await;
    assert_eq!((response.status(), start.elapsed().as_secs()), (StatusCode::NOT_MODIFIED, 30));

    let waiting = tokio::spawn({
        let (web, tag) = (web.clone(), tag.clone());
        async move { get(&web, "/api/nodes?wait=30", &[(header::IF_NONE_MATCH, &tag)]).await }
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let start = Instant::now();
    feed.publish(cluster(NodeState::Down));
    let response = waiting.await.unwrap();
    assert_eq!((response.status(), start.elapsed().as_secs()), (StatusCode::OK, 0));
    assert!(text(response).await.contains("\"ready\":false"));
    keep_fresh.abort();
    assert_eq!(get(&web, "/api/nodes?wait=31", &[]).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(start_paused = true)]
async fn outdated_nodes_are_not_served() {
    let (web, feed) = web(Access::everyone(), 4);
    let tag = get(&web, "/api/nodes", &[]).await.headers()[header::ETAG].to_str().unwrap().to_owned();
    // Nor to a client that waits.
    let start = Instant::now();
    let response = get(&web, "/api/nodes?wait=30", &[(header::IF_NONE_MATCH, &tag)]).await;
    assert_eq!((response.status(), start.elapsed().as_secs()), (StatusCode::SERVICE_UNAVAILABLE, FRESH.as_secs()));
    assert!(response.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(get(&web, "/readyz", &[]).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(&web, "/healthz", &[]).await.status(), StatusCode::OK, "liveness does not depend on the engine");
    assert_eq!(get(&web, "/api/swarm", &[]).await.status(), StatusCode::OK, "the last state stays available");
    feed.set_fresh(Some(Instant::now()));
    assert_eq!(get(&web, "/api/nodes", &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_instance_reports_its_own_node_and_disk() {
    let (web, _feed) = web(Access::everyone(), 4);
    let status: LocalStatus = serde_json::from_str(&text(get(&web, "/api/local", &[]).await).await).unwrap();
    assert_eq!((status.instance.as_str(), status.node.as_str()), ("abc", "n"));
    let disk = status.disk.unwrap();
    assert!(disk.total_bytes > 0 && disk.free_bytes <= disk.total_bytes, "{disk:?}");
}

#[tokio::test]
async fn the_metrics_report_the_state() {
    let (web, _feed) = web(Access::everyone(), 4);
    let response = get(&web, "/metrics", &[]).await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], Metrics::CONTENT_TYPE);
    let text = text(response).await;
    for line in ["watch_nodes{state=\"ready\"} 1.0\n", "watch_engine_up 1.0\n", "# EOF\n"] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}
