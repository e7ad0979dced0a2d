use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use super::{admin, busy_edge, get, now, pool, text};
use crate::{admin::BoundListener, config::Tls, downstream::tls::TlsListener};

#[tokio::test]
async fn metrics_are_well_formed_and_match_the_counters() {
    let admin = busy_edge();
    admin.listeners.store(Arc::new(vec![BoundListener {
        address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 443)),
        tls: Some(Arc::new(TlsListener::new(&Tls::default(), now()).unwrap())),
    }]));
    let metrics = text(get(&admin, "/metrics")).await;
    let series = parse(&metrics);
    for (name, value) in [
        (r#"edge_pool_requests_total{pool="web"}"#, 1500.0),
        (r#"edge_pool_responses_total{pool="web",class="5xx"}"#, 6.0),
        (r#"edge_endpoint_usable{pool="web",endpoint="10.0.0.2:8000"}"#, 0.0),
        (r#"edge_endpoint_failures_total{pool="web",endpoint="10.0.0.2:8000",kind="connect"}"#, 7.0),
        (r#"edge_requests_total{worker="1",version="2"}"#, 600.0),
        (r#"edge_errors_total{kind="connect_failed"}"#, 6.0),
        (r#"edge_client_refusals_total{reason="handshake_failed"}"#, 4.0),
        (r#"edge_client_refusals_total{reason="head_timeout"}"#, 0.0),
        ("edge_clients_uncounted_total", 2.0),
        (r#"edge_pool_latency_seconds_count{pool="web"}"#, 1500.0),
        (r#"edge_pool_latency_seconds_bucket{le="+Inf",pool="web"}"#, 1500.0),
        (r#"edge_source_up{pool="web",source="tasks.web:8000"}"#, 1.0),
        ("edge_memory_limit_bytes", 157_286_400.0),
        ("edge_ready", 1.0),
    ] {
        let found = series.iter().find(|(series, _)| series == name);
        assert_eq!(found.map(|(_, value)| *value), Some(value), "{name} in\n{metrics}");
    }
    let expiry = r#"edge_certificate_expiry_seconds{listener="0.0.0.0:443",certificate="self-signed"}"#;
    let (_, expiry) = series.iter().find(|(series, _)| series == expiry).unwrap();
    assert!(*expiry > 1_790_000_000.0);
}

#[tokio::test]
async fn labels_are_escaped() {
    let admin = admin(vec![pool("a\"b\\c\nd", &[], None)], Vec::new());
    let metrics = text(get(&admin, "/metrics")).await;
    assert!(metrics.contains(r#"edge_pool_requests_total{pool="a\"b\\c\nd"} 0"#), "{metrics}");
    parse(&metrics);
}

/// Parses the text format strictly: every line is metadata or a sample of the family declared last, there are no
/// duplicates, and the end is marked.
pub(super) fn parse(metrics: &str) -> Vec<(String, f64)> {
    let mut family = (String::new(), String::new());
    let (mut families, mut names, mut samples) = (HashSet::new(), HashSet::new(), Vec::new());
    let body = metrics.strip_suffix("# EOF\n").expect("the end is marked");
    for line in body.lines() {
        if let Some(metadata) = line.strip_prefix("# ") {
            let mut words = metadata.splitn(3, ' ');
            let (word, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            match word {
                "HELP" => assert!(families.insert(name.to_owned()) && !rest.is_empty(), "{line}"),
                "TYPE" => family = (name.to_owned(), rest.to_owned()),
                "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let name = series.split_once('{').map_or(series, |(name, _)| name);
        let suffix = name.strip_prefix(&family.0).unwrap_or_else(|| panic!("{line} under {family:?}"));
        let allowed: &[&str] = match family.1.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            other => panic!("{other}"),
        };
        assert!(name.starts_with("edge_") && allowed.contains(&suffix), "{line}");
        assert!(names.insert(series.to_owned()), "duplicate: {series}");
        samples.push((series.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}"))));
    }
    samples
}
