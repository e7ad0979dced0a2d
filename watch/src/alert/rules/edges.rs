//! Edges: whether they answer, their pools, and the certificates they present.

use std::collections::BTreeMap;

use super::{
    lookup::{lost, named},
    observation::Observation,
};
use crate::{
    alert::{
        condition::{Condition, Subject},
        rule::{Rule, Rules},
    },
    cluster_state::{Certificate, ClusterState, Edge, Millis, Pool, Severity},
};

pub(super) fn conditions(cluster: &ClusterState, rules: &Rules, now: Millis, found: &mut Observation) {
    let mut certificates = BTreeMap::new();
    let mut all_known = true;
    let none_answers = cluster.edges.values().all(|edge| edge.error.is_some());
    for (address, edge) in &cluster.edges {
        // Addresses on the overlay change with each task; the node stays.
        let id = edge.node.as_deref().unwrap_or(address);
        let name = name(cluster, address, edge);
        let about = |mut condition: Condition| {
            let node = edge.node.as_ref().and_then(|id| Some((id, cluster.nodes.get(id)?)));
            condition.subject = Subject {
                node: node.map(|(id, _)| id.clone()),
                node_name: node.map(|(_, node)| node.hostname.clone()),
                ..Subject::default()
            };
            condition.causes = edge.node.as_deref().and_then(|node| lost(cluster, node)).into_iter().collect();
            condition
        };
        if let Some(error) = &edge.error {
            let severity = if none_answers { Severity::Critical } else { Severity::Warning };
            let summary = format!("{name} does not answer: {error}");
            found.conditions.push(about(Condition::new(Rule::EdgeDown, id, severity, summary)));
        }
        if edge.error.is_some() || edge.at.is_none() {
            // What the edge reported last may no longer be true.
            found.unknown(Rule::EdgePool, &format!("{id}/"));
            all_known = false;
            continue;
        }
        found.conditions.extend(edge.pools.iter().filter_map(|pool| pool_condition(&name, id, pool)).map(about));
        for certificate in &edge.certificates {
            let earliest = certificates.entry(what(certificate)).or_insert(certificate);
            if certificate.not_after < earliest.not_after {
                *earliest = certificate;
            }
        }
    }
    for (what, certificate) in certificates {
        found.conditions.extend(certificate_condition(&what, certificate, rules, now));
    }
    if !all_known {
        found.unknown(Rule::Certificate, "");
        found.unknown(Rule::SelfSigned, "");
    }
}

fn name(cluster: &ClusterState, address: &str, edge: &Edge) -> String {
    match edge.node.as_ref().and_then(|id| Some((id, cluster.nodes.get(id)?))) {
        Some((id, node)) => format!("the edge on {}", named(id, node)),
        None => format!("the edge {address}"),
    }
}

fn pool_condition(edge: &str, id: &str, pool: &Pool) -> Option<Condition> {
    let all = pool.endpoints.len();
    let (severity, what) = if pool.usable == 0 {
        (Severity::Critical, format!("has no usable endpoint ({all} known)"))
    } else if pool.panic {
        let usable = pool.endpoints.iter().filter(|endpoint| endpoint.usable).count();
        (Severity::Critical, format!("is in panic: too few of {all} endpoints are healthy, so all are used ({usable})"))
    } else {
        return None;
    };
    let summary = format!("{edge}: its pool {} {what}", pool.name);
    Some(Condition::new(Rule::EdgePool, &format!("{id}/{}", pool.name), severity, summary))
}

/// The same certificate on several edges is one condition.
fn what(certificate: &Certificate) -> String {
    certificate.names.join(",")
}

fn certificate_condition(what: &str, certificate: &Certificate, rules: &Rules, now: Millis) -> Option<Condition> {
    if certificate.self_signed {
        // A self-signed certificate is created at each start, so its end does not matter.
        let summary = format!("the edge presents a self-signed certificate for {what}, since none is configured");
        return Some(Condition::new(Rule::SelfSigned, what, Severity::Info, summary));
    }
    let left = certificate.not_after? - now;
    let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    if left >= millis(rules.certificate.warning) {
        return None;
    }
    let severity = if left < millis(rules.certificate.critical) { Severity::Critical } else { Severity::Warning };
    let end = crate::alert::time::date(certificate.not_after?);
    let summary = match left {
        ..0 => format!("the certificate for {what} expired on {end}: clients refuse it"),
        _ => format!("the certificate for {what} expires on {end}"),
    };
    Some(Condition::new(Rule::Certificate, what, severity, summary))
}
