//! Renders the metrics of a [`Status`] in the OpenMetrics text format, which Prometheus reads.
//!
//! Names begin with `edge_` and end with the unit, followed only by `_total` for counters. The series of an endpoint
//! end when it leaves its pool. `worker` is a label only where an imbalance between workers matters.

use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use super::{
    family_writer::FamilyWriter,
    status::{EndpointReport, PoolStatus, SourceReport, Status, WorkerStatus},
};
use crate::observe::stats::LATENCY_BOUNDS_US;

/// The `Content-Type` of the result of [`render`].
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Renders all metrics.
///
/// # Errors
/// None in practice: writing to a `String` does not fail.
pub(super) fn render(status: &Status) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("edge");
    registry.register_collector(Box::new(Metrics(status.clone())));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Metrics(Status);

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut families = FamilyWriter(encoder);
        process(&mut families, &self.0)?;
        clients(&mut families, &self.0)?;
        pools(&mut families, &self.0.pools)?;
        endpoints(&mut families, &self.0.pools)?;
        certificates(&mut families, &self.0)
    }
}

fn process(families: &mut FamilyWriter<'_>, status: &Status) -> fmt::Result {
    families
        .0
        .encode_descriptor("build", "The version of the edge", None, MetricType::Info)?
        .encode_info(&[("version", status.version)])?;
    families.gauge("start_time", Some(&Unit::Seconds), "When the edge started, as Unix time", unix(status.started))?;
    families.gauge("ready", None, "Whether the edge is ready for requests, 0 or 1", flag(status.ready))?;
    families.gauge("draining", None, "Whether the edge is draining, 0 or 1", flag(status.draining))?;
    if let Some(reload) = &status.reload {
        let good = flag(reload.error.is_none());
        families.gauge("reload_success", None, "Whether the last reload succeeded, 0 or 1", good)?;
        families.gauge(
            "reload_time",
            Some(&Unit::Seconds),
            "When the last reload was, as Unix time",
            unix(reload.at),
        )?;
    }
    let log = &status.access_log;
    families.counters(
        "access_log_lines",
        None,
        "Access log lines by outcome",
        [
            ([("outcome", "written")], log.written),
            ([("outcome", "lost")], log.lost),
            ([("outcome", "dropped")], log.dropped),
        ],
    )?;
    families.counter("access_log_errors", None, "Failed writes to the access log", log.errors)
}

fn clients(families: &mut FamilyWriter<'_>, status: &Status) -> fmt::Result {
    let sum = |number: fn(&WorkerStatus) -> u64| status.workers.iter().map(number).sum::<u64>();
    let each = |number: fn(&WorkerStatus) -> u64| {
        status.workers.iter().map(move |worker| ([("worker", worker.worker.to_string())], number(worker)))
    };
    let silent = status.workers.iter().map(|worker| ([("worker", worker.worker.to_string())], worker.silent_seconds));
    families.gauges("worker_silent", Some(&Unit::Seconds), "Time since the last heartbeat of a worker", silent)?;
    families.gauges("client_connections", None, "Open client connections", each(|worker| worker.open).map(float))?;
    families.counters(
        "client_connections_accepted",
        None,
        "Accepted client connections",
        each(|worker| worker.accepted),
    )?;
    families.counter(
        "client_connections_refused",
        None,
        "Client connections closed because of max_connections",
        sum(|worker| worker.refused),
    )?;
    families.counter("accept_errors", None, "Failed accept calls", sum(|worker| worker.accept_errors))?;
    families.counter("tls_handshakes", None, "Successful TLS handshakes", sum(|worker| worker.handshakes))?;
    families.counter(
        "tls_handshake_failures",
        None,
        "Failed TLS handshakes",
        sum(|worker| worker.handshake_failures),
    )?;
    let requests = status.workers.iter().flat_map(|worker| {
        let labels = |version| [("worker", worker.worker.to_string()), ("version", version)];
        [(labels("1".to_owned()), worker.requests_h1), (labels("2".to_owned()), worker.requests_h2)]
    });
    families.counters("requests", None, "Requests by HTTP version", requests)?;
    families.counter(
        "bad_heads",
        None,
        "Connections closed because of a malformed or too large request head",
        sum(|worker| worker.bad_heads),
    )?;
    families.gauge(
        "tunnels",
        None,
        "Open tunnels, such as WebSocket connections",
        sum(|worker| worker.tunnels) as f64,
    )?;
    families.counter(
        "received",
        Some(&Unit::Bytes),
        "Bytes received from clients, without the overhead of TLS",
        sum(|worker| worker.bytes_in),
    )?;
    families.counter(
        "sent",
        Some(&Unit::Bytes),
        "Bytes sent to clients, without the overhead of TLS",
        sum(|worker| worker.bytes_out),
    )?;
    let errors = status.errors.iter().map(|error| ([("kind", error.kind)], error.count));
    families.counters("errors", None, "Failed requests and the edge's own replies, by kind", errors)
}

fn pools(families: &mut FamilyWriter<'_>, pools: &[PoolStatus]) -> fmt::Result {
    let each = |number: fn(&PoolStatus) -> u64| pools.iter().map(move |pool| ([pool.label()], number(pool)));
    families.counters("pool_requests", None, "Requests routed to a pool", each(|pool| pool.requests))?;
    let responses = pools
        .iter()
        .flat_map(|pool| pool.responses.classes().map(|(class, count)| ([pool.label(), ("class", class)], count)));
    families.counters("pool_responses", None, "Responses sent to clients", responses)?;
    families.counters("pool_retries", None, "Attempts after the first one of a request", each(|pool| pool.retries))?;
    families.counters(
        "pool_no_endpoint",
        None,
        "Requests for which there was no endpoint",
        each(|pool| pool.no_endpoint),
    )?;
    families.counters(
        "pool_panics",
        None,
        "How often the pool entered panic mode, in which health is ignored",
        each(|pool| pool.panics),
    )?;
    families.gauges(
        "pool_panic",
        None,
        "Whether the pool is in panic mode, in which health is ignored, 0 or 1",
        each(|pool| pool.panic.into()).map(float),
    )?;
    families.gauges("pool_endpoints", None, "Known endpoints", each(|pool| pool.endpoints.len() as u64).map(float))?;
    families.gauges(
        "pool_endpoints_usable",
        None,
        "Endpoints that may receive requests",
        each(|pool| pool.usable as u64).map(float),
    )?;
    sources(families, pools)?;
    latency(families, pools)
}

fn sources(families: &mut FamilyWriter<'_>, pools: &[PoolStatus]) -> fmt::Result {
    fn each<N>(
        pools: &[PoolStatus],
        number: fn(&SourceReport) -> N,
    ) -> impl Iterator<Item = ([(&'static str, &str); 2], N)> {
        pools.iter().flat_map(move |pool| {
            pool.sources.iter().map(move |source| ([pool.label(), ("source", source.source.as_str())], number(source)))
        })
    }
    let up = each(pools, |source| flag(source.error.is_none()));
    families.gauges("source_up", None, "Whether the last query for a source succeeded, 0 or 1", up)?;
    let endpoints = each(pools, |source| source.endpoints as f64);
    families.gauges("source_endpoints", None, "Endpoints of a source", endpoints)?;
    let questions = each(pools, |source| source.questions);
    families.counters(
        "source_questions",
        None,
        "Completed queries for a source, to name servers or to the watch of a swarm",
        questions,
    )?;
    let failures = each(pools, |source| source.failures);
    families.counters("source_failures", None, "Failed queries for a source", failures)
}

fn latency(families: &mut FamilyWriter<'_>, pools: &[PoolStatus]) -> fmt::Result {
    let help = "Time from reading the head of a request to having the head of the response";
    let mut family = families.0.encode_descriptor("pool_latency", help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for pool in pools {
        let histogram = &pool.latency.histogram;
        let bounds = LATENCY_BOUNDS_US.into_iter().map(|bound| bound as f64 / 1e6).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(histogram.buckets).collect();
        let sum = histogram.sum_us as f64 / 1e6;
        family.encode_family(&[pool.label()])?.encode_histogram::<[(&str, &str); 0]>(
            sum,
            histogram.count(),
            &buckets,
            None,
        )?;
    }
    Ok(())
}

fn endpoints(families: &mut FamilyWriter<'_>, pools: &[PoolStatus]) -> fmt::Result {
    let all: Vec<(&PoolStatus, &EndpointReport, String)> = pools
        .iter()
        .flat_map(|pool| pool.endpoints.iter().map(move |endpoint| (pool, endpoint, endpoint.address.to_string())))
        .collect();
    let each = |number: fn(&EndpointReport) -> u64| {
        all.iter().map(move |(pool, endpoint, address)| ([pool.label(), ("endpoint", address)], number(endpoint)))
    };
    let split = |label: &'static str, numbers: fn(&EndpointReport) -> Vec<(&'static str, u64)>| {
        all.iter().flat_map(move |(pool, endpoint, address)| {
            numbers(endpoint)
                .into_iter()
                .map(move |(value, number)| ([pool.label(), ("endpoint", address.as_str()), (label, value)], number))
        })
    };
    families.gauges(
        "endpoint_usable",
        None,
        "Whether an endpoint may receive requests, 0 or 1",
        each(|endpoint| endpoint.usable.into()).map(float),
    )?;
    let states = all.iter().map(|(pool, endpoint, address)| {
        ([pool.label(), ("endpoint", address.as_str()), ("state", endpoint.state)], 1.0)
    });
    families.gauges("endpoint_state", None, "The state of an endpoint, as a label", states)?;
    families.gauges(
        "endpoint_in_flight",
        None,
        "Attempts in flight",
        each(|endpoint| endpoint.in_flight).map(float),
    )?;
    families.counters("endpoint_requests", None, "Attempts, including retries", each(|endpoint| endpoint.requests))?;
    families.counters(
        "endpoint_responses",
        None,
        "Responses received",
        split("class", |endpoint| endpoint.responses.classes().into()),
    )?;
    let failures = |endpoint: &EndpointReport| {
        vec![("connect", endpoint.connect_failures), ("reset", endpoint.resets), ("timeout", endpoint.timeouts)]
    };
    families.counters("endpoint_failures", None, "Attempts without a response", split("kind", failures))?;
    families.gauges(
        "endpoint_connections",
        None,
        "Open connections",
        each(|endpoint| endpoint.connections_open).map(float),
    )?;
    families.counters(
        "endpoint_connections_opened",
        None,
        "Opened connections",
        each(|endpoint| endpoint.connections),
    )?;
    families.counters("endpoint_checks", None, "Completed health checks", each(|endpoint| endpoint.checks))?;
    families.counters(
        "endpoint_checks_failed",
        None,
        "Failed health checks",
        each(|endpoint| endpoint.checks_failed),
    )?;
    families.counters(
        "endpoint_ejections",
        None,
        "Ejections because of failed requests",
        each(|endpoint| endpoint.ejections),
    )
}

fn certificates(families: &mut FamilyWriter<'_>, status: &Status) -> fmt::Result {
    let expiries = status.listeners.iter().flat_map(|listener| {
        listener.certificates.iter().flatten().map(|certificate| {
            let file = certificate.file.clone().unwrap_or_else(|| "self-signed".to_owned());
            ([("listener", listener.address.to_string()), ("certificate", file)], unix(certificate.not_after))
        })
    });
    families.gauges("certificate_expiry", Some(&Unit::Seconds), "When a certificate expires, as Unix time", expiries)
}

impl PoolStatus {
    fn label(&self) -> (&'static str, &str) {
        ("pool", &self.name)
    }
}

fn float<L>((labels, number): (L, u64)) -> (L, f64) {
    (labels, number as f64)
}

fn flag(flag: bool) -> f64 {
    f64::from(u8::from(flag))
}

fn unix(time: SystemTime) -> f64 {
    // Whole seconds are precise enough. Dates before 1970 do not occur.
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs() as f64)
}
