//! The metrics of workers and their clients.

use std::fmt;

use prometheus_client::registry::Unit;

use super::{family_writer::FamilyWriter, series::float};
use crate::admin::status::{Status, WorkerStatus};

pub(super) fn encode(families: &mut FamilyWriter<'_>, status: &Status) -> fmt::Result {
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
        "Client connections closed at once because of max_connections or memory",
        sum(|worker| worker.refused),
    )?;
    let refusals = status.refusals.iter().map(|refusal| ([("reason", refusal.reason)], refusal.count));
    families.counters(
        "client_refusals",
        None,
        "Refused connections, handshakes, heads and requests, by reason",
        refusals,
    )?;
    families.counter(
        "clients_uncounted",
        None,
        "Connections, handshakes and requests not counted for their client, for lack of room",
        sum(|worker| worker.uncounted),
    )?;
    families.counter(
        "client_connections_shed",
        None,
        "Open client connections closed because of memory",
        sum(|worker| worker.shed),
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
