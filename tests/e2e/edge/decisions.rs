//! Decisions about endpoints: each is found in the log, in the metrics, in the status and on the page.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;
use tests::{
    balancer::{Balancer, Choice},
    client::get,
    upstream::{Behaviour, Upstream},
    wait::{SOON, deadline, eventually},
};
use tokio::task::JoinSet;

use super::{
    CHECKS, Edge, LISTENER, addresses,
    endpoint_drain::{is_in_state, order, with_token},
    list,
    mesh::behind_mesh,
};

/// Fails unless log, metrics, status and page have the decision; `endpoint` if it is about one.
async fn is_visible(edge: &Edge, decision: &str, endpoint: Option<&Upstream>) {
    let endpoint = endpoint.map_or(Value::Null, |endpoint| endpoint.address().to_string().into());
    let is_it = |item: &Value| item["decision"] == decision && item["pool"] == "web" && item["endpoint"] == endpoint;
    let lines = edge.process.lines();
    let logged: Vec<Value> = lines.iter().filter_map(|line| serde_json::from_str(line).ok()).filter(is_it).collect();
    let status = edge.status().await;
    let remembered: Vec<_> = status["decisions"].as_array().unwrap().iter().filter(|item| is_it(item)).collect();
    assert!(!remembered.is_empty(), "{decision} {endpoint} in {:#}", status["decisions"]);
    assert!(!logged.is_empty(), "{decision} {endpoint} in {lines:#?}");
    let (what, reason) = (remembered[0]["what"].as_str().unwrap(), remembered[0]["reason"].as_str().unwrap());
    assert!(logged.iter().any(|line| line["message"] == what), "{logged:?}");
    let metrics = get(edge.admin, "/metrics").await.unwrap().text();
    let series = format!("edge_pool_decisions_total{{pool=\"web\",decision=\"{decision}\"}} ");
    let value = metrics.lines().find_map(|line| line.strip_prefix(&series)).expect("a series");
    assert!(value.parse::<u64>().unwrap() > 0, "{series}{value}");
    let page = get(edge.admin, "/").await.unwrap().text();
    let shown = page.split_once("<h2>Recent decisions</h2>").expect("decisions").1;
    for part in [&format!(">{}</span>", decision.replace('_', " ")), what, reason] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}

#[tokio::test]
async fn each_kind_of_decision_is_in_log_metrics_status_and_page() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let endpoints = list(&addresses(&upstreams));
    let config = format!(
        "{LISTENER}[pool.web]\nendpoints = {endpoints}\nmax_connections = 1\n{CHECKS}\
         [pool.web.ejection]\nconsecutive_failures = 3\nbase = \"300ms\"\n\
         [pool.web.timeouts]\nqueue = \"20s\"\n"
    );
    let edge = Edge::start_by(&config, with_token).await;
    let address = edge.address();
    for upstream in &upstreams {
        is_in_state(&edge, upstream, "healthy").await;
        is_visible(&edge, "endpoint_added", Some(upstream)).await;
        is_visible(&edge, "healthy", Some(upstream)).await;
    }

    order(&edge, &upstreams[0], "drain").await;
    is_visible(&edge, "ordered_drain", Some(&upstreams[0])).await;
    order(&edge, &upstreams[0], "ready").await;

    upstreams[0].on("/fails", Behaviour::CloseBeforeResponse);
    eventually("an ejection", SOON, async || {
        assert_eq!(get(address, "/fails").await.unwrap().status, StatusCode::OK);
        edge.process.lines().iter().any(|line| line.contains("endpoint is ejected"))
    })
    .await;
    is_visible(&edge, "ejected", Some(&upstreams[0])).await;
    edge.decides("retried").await;
    is_visible(&edge, "retried", Some(&upstreams[0])).await;
    let pool = edge.status().await["pools"][0].take();
    assert!(pool["retry_reasons"]["upstream_closed"].as_u64() >= Some(3), "{pool:#}");

    // A check that passes begins a probation, and a request that succeeds ends it.
    eventually("the end of a probation", SOON, async || {
        assert_eq!(get(address, "/").await.unwrap().status, StatusCode::OK);
        edge.process.lines().iter().any(|line| line.contains("endpoint passed its probation"))
    })
    .await;
    is_in_state(&edge, &upstreams[0], "healthy").await;
    for upstream in &upstreams {
        upstream.on("/slow", Behaviour::SlowBody { chunks: 20, every: Duration::from_millis(100) });
    }
    let mut requests: JoinSet<_> = (0..3).map(|_| get(address, "/slow")).collect();
    edge.decides("queued").await;
    while let Some(reply) = deadline("the responses", SOON, requests.join_next()).await {
        assert_eq!(reply.unwrap().unwrap().status, StatusCode::OK);
    }
    is_visible(&edge, "queued", None).await;

    upstreams.iter().for_each(|upstream| upstream.on("/healthz", Behaviour::Status(500)));
    edge.decides("panic_began").await;
    is_visible(&edge, "panic_began", None).await;
    for upstream in &upstreams {
        is_visible(&edge, "unhealthy", Some(upstream)).await;
    }
    let status = edge.status().await;
    let endpoint = &status["pools"][0]["endpoints"][0];
    assert_eq!((&endpoint["state"], &endpoint["states_before"][0]["state"]), (&"unhealthy".into(), &"healthy".into()));
    assert!(endpoint["flips"].as_u64() >= Some(2), "{endpoint:#}");
}

#[tokio::test]
async fn the_connections_and_replicas_of_a_mesh_are_shown_and_a_hostile_name_is_harmless() {
    const HOSTILE: &str = "<script>alert(1)</script>\"'&\\";
    let replicas = [Upstream::start().await, Upstream::start().await];
    for (replica, name) in replicas.iter().zip(["web.1", HOSTILE]) {
        for path in ["/", "/healthz"] {
            replica.on(path, Behaviour::Headers(vec![("x-replica".to_owned(), name.to_owned())]));
        }
    }
    let mesh = Balancer::start(2, &addresses(&replicas), Choice::InTurn).await;
    let edge = Edge::start(&behind_mesh(mesh.nodes())).await;
    eventually("both replicas with their shares", SOON, async || {
        for _ in 0..4 {
            assert_eq!(get(edge.address(), "/").await.unwrap().status, StatusCode::OK);
        }
        let status = edge.status().await;
        let replicas = status["pools"][0]["mesh"]["replicas"].as_array().cloned().unwrap_or_default();
        replicas.len() == 2 && replicas.iter().all(|replica| replica["share"].as_f64() > Some(0.2))
    })
    .await;
    let status = edge.status().await;
    let pool = &status["pools"][0];
    let shown = &pool["mesh"];
    assert_eq!((&shown["replicas"][0]["name"], &shown["replicas"][1]["name"]), (&HOSTILE.into(), &"web.1".into()));
    assert!(shown["warm"].as_u64() >= Some(2) && shown["connect_timeout_ms"].as_f64() >= Some(50.0), "{shown:#}");
    for node in pool["endpoints"].as_array().unwrap() {
        assert!(node["mesh"]["spare"].as_u64() >= Some(1) && node["mesh"]["ready"].as_u64() >= Some(1), "{node:#}");
    }
    let found = status["decisions"].as_array().unwrap().iter().any(|item| item["decision"] == "replica_found");
    assert!(found, "{:#}", status["decisions"]);
    let page = get(edge.admin, "/").await.unwrap().text();
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\\") && !page.contains("<script>alert")
    );
    let metrics = get(edge.admin, "/metrics").await.unwrap().text();
    let series = r#"edge_mesh_replica_responses_total{pool="web",replica="<script>alert(1)</script>\"'&\\"} "#;
    assert!(metrics.lines().any(|line| line.starts_with(series)), "{metrics}");
}
