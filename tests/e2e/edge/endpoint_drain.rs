//! Drain and maintenance of endpoints: by order of the operator on the admin listener, and announced by the endpoint.

use std::{fs, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use http::{Method, StatusCode};
use serde_json::Value;
use tests::{
    client::{self, Connection, Reply, empty, get, load::Load, request},
    process::Plan,
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually, throughout},
};

use super::{Edge, addresses, assert_all_ok, checked, run, unchecked};

const TOKEN: &str = "s3cret";

/// Prepares an edge that obeys whoever knows [`TOKEN`].
pub(super) fn with_token(folder: &Path) -> Plan {
    fs::write(folder.join("token"), format!("{TOKEN}\n")).unwrap();
    run(folder).arg("--admin-token-file").arg(folder.join("token"))
}

async fn three_upstreams() -> [Upstream; 3] {
    [Upstream::start().await, Upstream::start().await, Upstream::start().await]
}

/// Sends an order with this `Authorization`, to the pool `web`.
async fn post(edge: &Edge, endpoint: SocketAddr, order: &str, authorization: Option<&str>) -> Reply {
    let mut request = request(&edge.admin.to_string(), &format!("/pools/web/endpoints/{endpoint}/{order}"));
    *request.method_mut() = Method::POST;
    *request.body_mut() = empty();
    if let Some(authorization) = authorization {
        request.headers_mut().insert("authorization", authorization.parse().unwrap());
    }
    Connection::http1(edge.admin).await.unwrap().send(request).await.unwrap()
}

/// Gives an order, which is accepted.
pub(super) async fn order(edge: &Edge, upstream: &Upstream, order: &str) {
    let reply = post(edge, upstream.address(), order, Some(&format!("Bearer {TOKEN}"))).await;
    assert_eq!((reply.status, &reply.json()["order"]), (StatusCode::OK, &Value::from(order)), "{}", reply.text());
}

/// Returns what the status says of an endpoint of the only pool.
async fn endpoint(edge: &Edge, upstream: &Upstream) -> Value {
    let address = Value::from(upstream.address().to_string());
    let status = edge.status().await;
    let endpoints = status["pools"][0]["endpoints"].as_array().unwrap();
    endpoints.iter().find(|endpoint| endpoint["address"] == address).unwrap().clone()
}

pub(super) async fn is_in_state(edge: &Edge, upstream: &Upstream, state: &str) {
    let what = format!("{state} {}", upstream.address());
    eventually(&what, SOON, async || endpoint(edge, upstream).await["state"] == state).await;
}

/// Waits until no request is in progress at an endpoint, and returns how many it got.
async fn idle(edge: &Edge, upstream: &Upstream) -> usize {
    eventually("the end of its requests", SOON, async || endpoint(edge, upstream).await["in_flight"] == 0).await;
    upstream.requests_for("/")
}

/// Waits until each of these upstreams has received another request.
async fn each_gets_a_request(upstreams: &[Upstream]) {
    let before: Vec<usize> = upstreams.iter().map(|upstream| upstream.requests_for("/")).collect();
    eventually("a request to each", SOON, async || {
        upstreams.iter().zip(&before).all(|(upstream, before)| upstream.requests_for("/") > *before)
    })
    .await;
}

async fn more(load: &client::load::Running, requests: usize) {
    let done = load.done();
    eventually("more load", SOON, async || load.done() > done + requests).await;
}

#[tokio::test]
async fn drain_by_the_operator_under_load_fails_no_request_and_survives_a_reload() {
    let upstreams = three_upstreams().await;
    let config = checked(&addresses(&upstreams));
    let mut edge = Edge::start_by(&config, with_token).await;
    let load = Load::on(&[edge.address()]).connections(16).start();
    each_gets_a_request(&upstreams).await;
    order(&edge, &upstreams[0], "drain").await;
    let got = idle(&edge, &upstreams[0]).await;
    more(&load, 300).await;
    // The same pool, then one with other settings.
    for changed in [config.clone(), config.replace("[pool.web]\n", "[pool.web]\nmax_idle = 7\n")] {
        let outcome = edge.reload(&changed).await;
        assert!(outcome.contains("is in use"), "{outcome}");
        more(&load, 300).await;
    }
    let checks = upstreams[0].requests_for("/healthz");
    eventually("more checks", SOON, async || upstreams[0].requests_for("/healthz") > checks + 1).await;
    assert_eq!(upstreams[0].requests_for("/"), got);
    let status = endpoint(&edge, &upstreams[0]).await;
    assert_eq!(
        (&status["state"], &status["order"], &status["usable"]),
        (&"draining".into(), &"drain".into(), &false.into())
    );
    let lines: Vec<_> = edge.process.lines().into_iter().filter(|line| line.contains("by the operator")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(
        (&line["pool"], &line["order"], &line["order_before"]),
        (&"web".into(), &"drain".into(), &"ready".into())
    );
    assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");

    order(&edge, &upstreams[0], "ready").await;
    each_gets_a_request(&upstreams).await;
    assert_all_ok(&load.stop().await);
}

#[tokio::test]
async fn requests_in_progress_end_while_their_endpoint_drains_or_is_in_maintenance() {
    for order_name in ["drain", "maintenance"] {
        let upstreams = [Upstream::start().await, Upstream::start().await];
        for upstream in &upstreams {
            upstream.on("/slow", Behaviour::SlowBody { chunks: 20, every: Duration::from_millis(50) });
        }
        let edge = Edge::start_by(&checked(&addresses(&upstreams)), with_token).await;
        let address = edge.address();
        let response = tokio::spawn(async move { get(address, "/slow").await });
        let busy = async || upstreams.iter().find(|upstream| upstream.requests_for("/slow") > 0);
        let busy = tests::wait::eventually_some("the request", SOON, busy).await;
        order(&edge, busy, order_name).await;
        let reply = response.await.unwrap().unwrap();
        assert_eq!((reply.status, reply.body.len()), (StatusCode::OK, 20_000), "{order_name}");
    }
}

#[tokio::test]
async fn endpoint_in_maintenance_gets_no_requests_no_checks_and_keeps_no_connections() {
    let upstreams = three_upstreams().await;
    let edge = Edge::start_by(&checked(&addresses(&upstreams)), with_token).await;
    let load = Load::on(&[edge.address()]).connections(16).start();
    each_gets_a_request(&upstreams).await;
    order(&edge, &upstreams[0], "maintenance").await;
    eventually("the end of its connections", SOON, async || upstreams[0].open_connections() == 0).await;
    let got = upstreams[0].requests();
    let checks = upstreams[1].requests_for("/healthz");
    eventually("checks of others", SOON, async || upstreams[1].requests_for("/healthz") > checks + 4).await;
    more(&load, 300).await;
    assert_eq!(upstreams[0].requests(), got);
    assert_eq!(endpoint(&edge, &upstreams[0]).await["state"], "maintenance");
    // It is stopped and started, which nobody notices.
    upstreams[0].kill().await;
    more(&load, 300).await;
    upstreams[0].restart().await;
    order(&edge, &upstreams[0], "ready").await;
    each_gets_a_request(&upstreams).await;
    assert_all_ok(&load.stop().await);
    assert!(!edge.process.lines().iter().any(|line| line.contains("endpoint is unhealthy")));
}

#[tokio::test]
async fn if_all_endpoints_drain_they_are_used_and_in_maintenance_the_response_is_503() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let edge = Edge::start_by(&checked(&addresses(&upstreams)), with_token).await;
    let load = Load::on(&[edge.address()]).connections(4).start();
    for upstream in &upstreams {
        order(&edge, upstream, "drain").await;
    }
    each_gets_a_request(&upstreams).await;
    assert_all_ok(&load.stop().await);
    assert!(edge.process.lines().iter().any(|line| line.contains("using those that drain")));
    assert_eq!(edge.status().await["pools"][0]["uses_draining"], true);
    let page = get(edge.admin, "/").await.unwrap().text();
    assert!(page.contains("so those that drain are used") && page.contains(">draining, used</span>"), "{page}");
    for upstream in &upstreams {
        order(&edge, upstream, "maintenance").await;
    }
    let reply = get(edge.address(), "/").await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    let readiness = get(edge.admin, "/readyz").await.unwrap();
    assert_eq!(readiness.text(), "pool web: all of 2 endpoints are in maintenance\n");
    order(&edge, &upstreams[1], "ready").await;
    eventually("service", SOON, async || get(edge.address(), "/").await.unwrap().status == StatusCode::OK).await;
}

#[tokio::test]
async fn order_is_refused_without_the_token_and_for_what_does_not_exist() {
    let upstream = Upstream::start().await;
    let (config, address) = (unchecked(&[upstream.address()]), upstream.address());
    let right = format!("Bearer {TOKEN}");
    let edge = Edge::start_by(&config, with_token).await;
    for (authorization, status) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some("Bearer wrong"), StatusCode::UNAUTHORIZED),
        (Some("Basic czNjcmV0"), StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(post(&edge, address, "maintenance", authorization).await.status, status, "{authorization:?}");
    }
    let unknown = SocketAddr::from(([127, 0, 0, 1], 1));
    assert_eq!(post(&edge, unknown, "drain", Some(&right)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(post(&edge, address, "stop", Some(&right)).await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        get(edge.admin, &format!("/pools/web/endpoints/{address}/drain")).await.unwrap().status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
    // A new token needs no reload.
    fs::write(edge.folder.path().join("token"), "other").unwrap();
    assert_eq!(post(&edge, address, "drain", Some(&right)).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(post(&edge, address, "drain", Some("Bearer other")).await.status, StatusCode::OK);
    let output = edge.process.lines().join("\n");
    assert!(output.contains("an order to an endpoint is refused") && !output.contains(TOKEN), "{output}");

    let closed = Edge::start(&config).await;
    let reply = post(&closed, address, "drain", Some(&right)).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.text().contains("--admin-token-file"), "{}", reply.text());
}

#[tokio::test]
async fn health_check_that_announces_a_drain_takes_the_endpoint_out_at_once() {
    let upstreams = three_upstreams().await;
    let never = "fall = 1000\n";
    let edge = Edge::start(&format!("{}{never}", checked(&addresses(&upstreams)))).await;
    let load = Load::on(&[edge.address()]).connections(16).start();
    each_gets_a_request(&upstreams).await;
    upstreams[0].on("/healthz", Behaviour::Drain);
    is_in_state(&edge, &upstreams[0], "draining").await;
    let got = idle(&edge, &upstreams[0]).await;
    // It ends, as announced, and another program takes its place.
    more(&load, 300).await;
    upstreams[0].kill().await;
    more(&load, 300).await;
    assert_eq!(upstreams[0].requests_for("/"), got);
    upstreams[0].on("/healthz", Behaviour::Echo);
    upstreams[0].restart().await;
    each_gets_a_request(&upstreams).await;
    assert_all_ok(&load.stop().await);
    assert_eq!(endpoint(&edge, &upstreams[0]).await["announced_drains"], 1);
    let blames = ["WARN", "ERROR", "unhealthy"];
    let mut lines = edge.process.lines();
    lines.retain(|line| line.contains("edge::upstream") && blames.iter().any(|blame| line.contains(blame)));
    assert!(lines.is_empty(), "{lines:#?}");
}

#[tokio::test]
async fn field_of_a_response_takes_the_endpoint_out_and_does_not_reach_clients() {
    let upstreams = three_upstreams().await;
    let drain = "[pool.web.drain]\nheader = \"X-Drain\"\ntime = \"1h\"\n";
    let edge = Edge::start(&format!("{}{drain}", unchecked(&addresses(&upstreams)))).await;
    let load = Load::on(&[edge.address()]).connections(16).start();
    each_gets_a_request(&upstreams).await;
    let fields = [("x-drain", "0"), ("x-other", "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    upstreams[0].on("/", Behaviour::Headers(fields.to_vec()));
    is_in_state(&edge, &upstreams[0], "draining").await;
    let got = idle(&edge, &upstreams[0]).await;
    more(&load, 500).await;
    assert_eq!(upstreams[0].requests_for("/"), got);
    let records = load.stop().await;
    assert_all_ok(&records);
    let replies = || records.iter().filter_map(|record| record.outcome.as_ref().ok());
    assert!(replies().any(|reply| reply.header("x-other") == Some("1")));
    assert!(replies().all(|reply| reply.header("x-drain").is_none()));

    // The last ones announce it as well: they are used, and HTTP/2 clients do not get the field either.
    for upstream in &upstreams[1..] {
        upstream.on("/", Behaviour::Headers(fields.to_vec()));
    }
    let mut connection = Connection::http2(edge.address()).await.unwrap();
    for _ in 0..20 {
        let reply = connection.get("/").await.unwrap();
        assert_eq!((reply.status, reply.header("x-other"), reply.header("x-drain")), (StatusCode::OK, Some("1"), None));
    }
    assert_eq!(edge.status().await["pools"][0]["uses_draining"], true);
}

#[tokio::test]
async fn field_of_a_response_behind_a_mesh_takes_no_node_out() {
    let nodes = [Upstream::start().await, Upstream::start().await];
    for node in &nodes {
        node.on("/", Behaviour::Headers(vec![("x-drain".to_owned(), "1".to_owned())]));
    }
    let config = unchecked(&addresses(&nodes)).replace("[pool.web]\n", "[pool.web]\nmesh = true\n");
    let edge = Edge::start(&format!("{config}[pool.web.drain]\nheader = \"x-drain\"\ntime = \"1h\"\n")).await;
    for _ in 0..8 {
        let reply = deadline("the response", SOON, get(edge.address(), "/")).await.unwrap();
        assert_eq!((reply.status, reply.header("x-drain")), (StatusCode::OK, None));
    }
    throughout("healthy nodes", Duration::from_millis(500), async || {
        let [one, other] = [endpoint(&edge, &nodes[0]).await, endpoint(&edge, &nodes[1]).await];
        one["state"] == "healthy" && other["state"] == "healthy"
    })
    .await;
}

#[tokio::test]
async fn drain_that_a_response_announced_ends_when_checks_pass() {
    let upstreams = three_upstreams().await;
    let drain = "[pool.web.drain]\nheader = \"x-drain\"\ntime = \"1h\"\n";
    let edge = Edge::start(&format!("{}{drain}", checked(&addresses(&upstreams)))).await;
    let load = Load::on(&[edge.address()]).connections(4).start();
    each_gets_a_request(&upstreams).await;
    upstreams[0].on("/healthz", Behaviour::Drain);
    upstreams[0].on("/", Behaviour::Headers(vec![("x-drain".to_owned(), "1".to_owned())]));
    is_in_state(&edge, &upstreams[0], "draining").await;
    upstreams[0].on("/", Behaviour::Echo);
    upstreams[0].on("/healthz", Behaviour::Echo);
    each_gets_a_request(&upstreams).await;
    assert_all_ok(&load.stop().await);
}

/// Returns the lines of the section of docs/edge.md about drains that are for a shell, from the one that begins with
/// `start`.
fn documented(start: &str) -> String {
    let docs = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/edge.md")).unwrap();
    let section = docs.split_once("\n## Drain and maintenance of endpoints\n").unwrap().1;
    let block = section.split("```sh\n").skip(1).find(|block| block.starts_with(start)).unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

#[tokio::test]
async fn documented_commands_drain_an_endpoint_and_wait_for_its_requests() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let edge = Edge::start_by(&checked(&addresses(&upstreams)), with_token).await;
    let address = upstreams[0].address().to_string();
    let adapted = |script: String| {
        let script = script.replace("127.0.0.1:9901", &edge.admin.to_string());
        let token = edge.folder.path().join("token").display().to_string();
        script.replace("10.0.0.1:8000", &address).replace("/etc/edge/admin.token", &token)
    };
    let run = async |script: String| {
        let mut shell = tokio::process::Command::new("bash");
        let shell = shell.args(["-euo", "pipefail", "-c", &script]).stdin(Stdio::null()).output();
        let output = deadline("the end of the commands", SOON, shell).await.unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{script}\n{text}");
        text
    };
    run(adapted(documented("(umask")).split('#').next().unwrap().to_owned()).await;
    let orders = adapted(documented("order()"));
    let text = run(orders.clone()).await;
    let before: Vec<_> =
        text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["before"].clone()).collect();
    assert_eq!(before, ["ready", "drain", "maintenance"]);
    run(orders.lines().take(2).collect::<Vec<_>>().join("\n")).await;
    assert_eq!(endpoint(&edge, &upstreams[0]).await["order"], "drain");
    run(adapted(documented("until"))).await;
}
