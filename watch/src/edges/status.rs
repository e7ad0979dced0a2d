//! The fields that are read from an edge's `/status.json`. They are stable; unknown fields are skipped.

use std::time::UNIX_EPOCH;

use serde::Deserialize;

use crate::{
    clock::Millis,
    cluster_state::{Certificate, Edge, Endpoint, Pool},
};

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    version: Option<String>,
    /// Host name of its machine, if the edge reports it.
    pub(super) hostname: Option<String>,
    ready: bool,
    reasons: Vec<String>,
    listeners: Vec<Listener>,
    pools: Vec<PoolStatus>,
    workers: Vec<Worker>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Listener {
    certificates: Option<Vec<CertificateStatus>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct CertificateStatus {
    file: Option<String>,
    names: Vec<String>,
    not_after: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct PoolStatus {
    name: String,
    panic: bool,
    usable: u32,
    endpoints: Vec<EndpointStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct EndpointStatus {
    address: String,
    state: String,
    usable: bool,
    reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Worker {
    requests_h1: u64,
    requests_h2: u64,
}

impl Status {
    /// Converts the status, without the fields that the edge itself does not know.
    pub(super) fn edge(&self) -> Edge {
        let certificates = self.listeners.iter().flat_map(|listener| listener.certificates.iter().flatten());
        let mut certificates: Vec<Certificate> = certificates.map(CertificateStatus::certificate).collect();
        // Listeners usually share certificates.
        let mut seen: Vec<Certificate> = Vec::new();
        certificates.retain(|certificate| {
            let is_new = !seen.contains(certificate);
            seen.push(certificate.clone());
            is_new
        });
        Edge {
            ready: self.ready,
            reasons: self.reasons.clone(),
            version: self.version.clone(),
            requests: self.workers.iter().map(|worker| worker.requests_h1.saturating_add(worker.requests_h2)).sum(),
            pools: self.pools.iter().map(PoolStatus::pool).collect(),
            certificates,
            ..Edge::default()
        }
    }
}

impl CertificateStatus {
    fn certificate(&self) -> Certificate {
        Certificate { names: self.names.clone(), not_after: millis(&self.not_after), self_signed: self.file.is_none() }
    }
}

impl PoolStatus {
    fn pool(&self) -> Pool {
        let endpoints = self.endpoints.iter().map(|endpoint| Endpoint {
            address: endpoint.address.clone(),
            state: endpoint.state.clone(),
            usable: endpoint.usable,
            reason: (!endpoint.usable && !endpoint.reason.is_empty()).then(|| endpoint.reason.clone()),
        });
        Pool { name: self.name.clone(), panic: self.panic, usable: self.usable, endpoints: endpoints.collect() }
    }
}

fn millis(text: &str) -> Option<Millis> {
    let time = humantime::parse_rfc3339(text).ok()?;
    time.duration_since(UNIX_EPOCH).ok()?.as_millis().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_converted_without_duplicate_certificates() {
        let status: Status = serde_json::from_str(
            r#"{
            "version": "0.1.0", "now": "2026-01-01T00:00:00.000Z", "ready": false, "reasons": ["why"],
            "listeners": [
                {"address": "0.0.0.0:80", "certificates": null},
                {"address": "0.0.0.0:443", "certificates": [
                    {"file": null, "names": ["localhost"], "not_after": "1970-01-01T00:00:01.000Z", "warning": "w"}]},
                {"address": "[::]:443", "certificates": [
                    {"file": null, "names": ["localhost"], "not_after": "1970-01-01T00:00:01.000Z", "warning": "w"}]}
            ],
            "pools": [{"name": "web", "panic": true, "usable": 1, "requests": 3, "endpoints": [
                {"address": "10.0.0.1:80", "state": "healthy", "usable": true, "reason": "2 checks passed"},
                {"address": "10.0.0.2:80", "state": "unhealthy", "usable": false, "reason": "refused"}]}],
            "workers": [{"worker": 0, "requests_h1": 3, "requests_h2": 4}, {"worker": 1, "requests_h1": 5}],
            "unknown": {"to": "us"}
        }"#,
        )
        .unwrap();
        let edge = status.edge();
        assert_eq!((edge.ready, edge.requests, edge.reasons.len()), (false, 12, 1));
        let certificate = Certificate { names: vec!["localhost".to_owned()], not_after: Some(1000), self_signed: true };
        assert_eq!(edge.certificates, [certificate]);
        let reasons: Vec<_> = edge.pools[0].endpoints.iter().map(|endpoint| endpoint.reason.as_deref()).collect();
        assert_eq!(reasons, [None, Some("refused")]);
        assert!(edge.pools[0].panic);
    }
}
