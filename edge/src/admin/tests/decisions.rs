//! Decisions, meshes and many endpoints in the status, the metrics and on the page.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};

use super::{WORKERS, admin, endpoint, get, metrics::parse, pool, route, seconds_ago, text};
use crate::{
    admin::AdminState,
    config::{BACKUP, EndpointOptions, HostMatch},
    error::Kind,
    observe::decisions::{Decision, Note},
    upstream::{
        Endpoint, EndpointState, EndpointStatus,
        health::error_share::Responses,
        mesh::report::{Merger, MeshReport, NodeReport, ReplicaReport},
        order::Order,
    },
};

const HOSTILE: &str = "<img src=x onerror=alert(1)>\"\r\n\u{1b}[2J\u{202e}";

/// An edge behind a mesh, whose replica and reasons are hostile, with some decisions.
fn decided_edge() -> AdminState {
    let node = endpoint(1, EndpointState::Healthy, "status 200");
    let backup = endpoint(2, EndpointState::Healthy, "status 200");
    let (weight, zone) = (3, Some("cellar".to_owned()));
    backup.set_options(&EndpointOptions { weight, tier: BACKUP, zone }, None);
    let (state, reason, since) = (EndpointState::Ejected, "5 requests failed".to_owned(), seconds_ago(5));
    let ejected_until = since.checked_add(Duration::from_secs(60));
    backup.set_status(EndpointStatus { state, reason, order: Order::Ready, since, ejected_until });
    backup.checks.ejections.add(2);
    let web = pool("web", &[node.clone(), backup], None);
    let stats = web.stats.of(1);
    stats.retries.add(4);
    stats.retry_reasons[Kind::Connect as usize].add(4);
    stats.decisions.add(Decision::SessionMoved);
    stats.decisions.add(Decision::Raced);
    let at = node.address;
    web.decisions.note("web", &Note::at(Decision::Unhealthy, at, HOSTILE), seconds_ago(60));
    web.decisions.note(
        "web",
        &Note { replica: Some(HOSTILE), ..Note::new(Decision::ReplicaFound, "") },
        seconds_ago(9),
    );
    web.decisions.show("web", &Note { count: 4, ..Note::new(Decision::Retried, "connect_failed 4") }, seconds_ago(3));
    let replica = |name: &str, total| ReplicaReport {
        name: name.as_bytes().into(),
        connections: 3,
        responses: Responses { total, errors: 1 },
        suspect: total == 75,
        ..ReplicaReport::default()
    };
    let node = NodeReport { node: node.id, open: 6, idle: 5, ready: 4, opening: 1, ..NodeReport::default() };
    let report = MeshReport {
        connect_timeout: Duration::from_millis(250),
        warm: 6,
        nodes: vec![node],
        replicas: vec![replica(HOSTILE, 25), replica("web.1", 75)],
        ..MeshReport::default()
    };
    let (status, _) = Merger::default().merge(&[Some(Arc::new(report))]);
    web.mesh.store(Some(Arc::new(status)));
    admin(vec![web], vec![route(HostMatch::Any, "/", 0)])
}

#[tokio::test]
async fn the_status_has_the_decisions_the_newest_first_and_the_mesh() {
    let status: Value = serde_json::from_str(&text(get(&decided_edge(), "/status.json")).await).unwrap();
    let decisions = status["decisions"].as_array().unwrap();
    let labels: Vec<_> = decisions.iter().map(|decision| decision["decision"].as_str().unwrap()).collect();
    assert_eq!(labels, ["retried", "replica_found", "unhealthy"]);
    assert_eq!((&decisions[0]["count"], &decisions[0]["reason"]), (&json!(4), &json!("connect_failed 4")));
    assert_eq!((&decisions[2]["endpoint"], &decisions[2]["pool"]), (&json!("10.0.0.1:8000"), &json!("web")));
    let pool = &status["pools"][0];
    assert_eq!(pool["retry_reasons"], json!({"connect_failed": 4}));
    let counts = json!({"raced": 1, "replica_found": 1, "retried": 4, "session_moved": 1, "unhealthy": 1});
    assert_eq!(pool["decision_counts"], counts);
    let mesh = &pool["mesh"];
    assert_eq!(
        (&mesh["connect_timeout_ms"], &mesh["races"], &mesh["races_won"]),
        (&json!(250.0), &json!(1), &json!(0))
    );
    assert_eq!((&mesh["replicas"][1]["name"], &mesh["replicas"][1]["share"]), (&json!("web.1"), &json!(0.75)));
    let [node, backup] = pool["endpoints"].as_array().unwrap().as_slice() else { panic!("{pool}") };
    let connections = json!({"open": 6, "spare": 5, "ready": 4, "opening": 1, "suspect": false, "suspicions": 0});
    assert_eq!((&node["mesh"], &node["tier"], &node["backup"]), (&connections, &json!(1), &json!(false)));
    assert_eq!((&backup["weight"], &backup["tier"], &backup["backup"]), (&json!(3.0), &json!(null), &json!(true)));
    assert_eq!((&backup["zone"], &backup["ejections"]), (&json!("cellar"), &json!(2)));
    assert_eq!(backup["ejected_until"], "2026-09-21T14:14:15.000Z");
    assert_eq!((&backup["flips"], &backup["states_before"][0]["state"]), (&json!(2), &json!("healthy")));
}

#[tokio::test]
async fn the_metrics_have_every_decision_and_the_mesh() {
    let metrics = text(get(&decided_edge(), "/metrics")).await;
    let series = parse(&metrics);
    for (name, value) in [
        (r#"edge_pool_decisions_total{pool="web",decision="unhealthy"}"#, 1.0),
        (r#"edge_pool_decisions_total{pool="web",decision="retried"}"#, 4.0),
        (r#"edge_pool_decisions_total{pool="web",decision="panic_began"}"#, 0.0),
        (r#"edge_pool_retry_reasons_total{pool="web",reason="connect_failed"}"#, 4.0),
        (r#"edge_pool_retry_reasons_total{pool="web",reason="response_timeout"}"#, 0.0),
        (r#"edge_pool_sessions_moved_total{pool="web"}"#, 1.0),
        (r#"edge_pool_tier_in_use{pool="web",tier="1"}"#, 1.0),
        (r#"edge_endpoint_weight{pool="web",endpoint="10.0.0.2:8000"}"#, 3.0),
        (r#"edge_endpoint_placement{pool="web",endpoint="10.0.0.2:8000",tier="backup",zone="cellar"}"#, 1.0),
        (r#"edge_endpoint_ejection_end_seconds{pool="web",endpoint="10.0.0.2:8000"}"#, 1_790_000_055.0),
        (r#"edge_mesh_node_ready_connections{pool="web",endpoint="10.0.0.1:8000"}"#, 4.0),
        (r#"edge_mesh_replica_responses_total{pool="web",replica="web.1"}"#, 75.0),
        (r#"edge_mesh_replica_suspect{pool="web",replica="web.1"}"#, 1.0),
        (r#"edge_mesh_connect_timeout_seconds{pool="web"}"#, 0.25),
        (r#"edge_mesh_races_total{pool="web"}"#, 1.0),
    ] {
        let found = series.iter().find(|(series, _)| series == name);
        assert_eq!(found.map(|(_, value)| *value), Some(value), "{name} in\n{metrics}");
    }
    let decisions = series.iter().filter(|(series, _)| series.starts_with("edge_pool_decisions_total"));
    assert_eq!(decisions.count(), Decision::COUNT);
    let name = "replica=\"<img src=x onerror=alert(1)>\\\"\u{fffd}\u{fffd}\u{fffd}[2J\u{fffd}\"";
    assert!(metrics.contains(name), "{metrics}");
}

#[tokio::test]
async fn the_page_shows_decisions_and_replicas_as_text() {
    let page = text(get(&decided_edge(), "/")).await;
    assert!(!page.contains("<img") && !page.contains('\u{1b}') && !page.contains('\u{202e}'), "{page}");
    let name = "&lt;img src=x onerror=alert(1)&gt;&quot;\u{fffd}\u{fffd}\u{fffd}[2J\u{fffd}";
    assert_eq!(page.matches(name).count(), 3, "{page}");
    for part in [
        "<h2>Recent decisions</h2>",
        ">unhealthy</span>",
        "requests were sent again",
        "4 retries (connect failed 4)",
        "1 moved from the endpoint of their session",
        "tiers in use: 1",
        "connect timeout 250 ms, second connections 1, in time 0",
        "weight 3 · backup · zone cellar",
        "ends <time",
        "ejections: 2",
        "before: healthy",
        "<span>75 %</span>",
        "not lately",
    ] {
        assert!(page.contains(part), "{part} in\n{page}");
    }
    assert_eq!(page.matches("<tr>").count(), page.matches("</tr>").count());
}

#[tokio::test]
async fn of_many_endpoints_and_decisions_only_those_that_matter_are_unfolded() {
    let number = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let address = SocketAddr::from((Ipv4Addr::new(10, 1, high, low), 8000));
        let endpoint = Endpoint::new(address, "tasks.web:8000".into(), WORKERS, seconds_ago(4000));
        let state = if number.is_multiple_of(100) { EndpointState::Unhealthy } else { EndpointState::Healthy };
        let (reason, order, since) = ("checked".to_owned(), Order::Ready, seconds_ago(3700));
        endpoint.set_status(EndpointStatus { state, reason, order, since, ejected_until: None });
        Arc::new(endpoint)
    };
    let endpoints: Vec<_> = (1..=300).map(number).collect();
    let web = pool("web", &endpoints, None);
    for endpoint in &endpoints {
        web.decisions.note("web", &Note::at(Decision::Healthy, endpoint.address, "status 200"), seconds_ago(60));
    }
    let page = text(get(&admin(vec![web], vec![route(HostMatch::Any, "/", 0)]), "/")).await;
    let (open, folded) = page.split_once("<details id=\"endpoints-web\">").unwrap();
    let rows = |text: &str| text.matches("data-title=\"In flight\"").count();
    assert_eq!((rows(open), rows(folded)), (3, 297));
    assert!(folded.starts_with("<summary>297 endpoints"), "{folded:.100}");
    let (newest, older) = folded.split_once("<details id=\"decisions\">").unwrap();
    let rows = |text: &str| text.matches("data-title=\"Why\"").count();
    assert_eq!((rows(newest), rows(older)), (20, 180));
    assert!(page.len() < 700_000, "{} bytes", page.len());
    assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
}
