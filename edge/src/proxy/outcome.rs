//! What an attempt tells about its endpoint: the counters, and what decides its ejection and its share of the requests.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    config::Balance,
    error::{Error, Kind},
    observe::{peak_ewma::FAILED, stats::status_class},
    upstream::{Endpoint, connection::Connection, health::error_share::is_server_error},
    worker::{PoolView, Worker},
};

/// Whose failure it is that there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The endpoint's.
    Endpoint,
    /// Nobody's: the endpoint closed an idle connection.
    Stale,
    /// The client caused it, for example by the URL that it requested.
    Client,
}

/// Counts a failed exchange. A failure on a reused connection says nothing about the endpoint, which may have closed it
/// while it was idle.
pub(super) fn count_failure(connection: &Connection, error: &Error, worker: usize, now: Instant) -> Failure {
    let endpoint = connection.endpoint();
    match error.kind {
        Kind::ResponseTimeout => endpoint.stats.of(worker).timeouts.add(1),
        Kind::UpstreamClosed | Kind::UpstreamInvalid => endpoint.stats.of(worker).resets.add(1),
        _ => return Failure::Client,
    }
    if connection.is_reused() && error.kind == Kind::UpstreamClosed {
        connection.note_closed(now);
        return Failure::Stale;
    }
    endpoint.suspicion.failed(now);
    endpoint.failed();
    Failure::Endpoint
}

/// Counts that no connection to an endpoint could be opened.
pub(super) fn connect_failed(worker: &Worker, pool: &PoolView, endpoint: &Endpoint) {
    endpoint.stats.of(worker.index).connect_failures.add(1);
    endpoint.suspicion.failed(worker.clock.now());
    endpoint.connect_failed();
    endpoint.note_unreachable(worker.clock.now());
    record_latency(worker, pool, endpoint, worker.clock.now(), FAILED);
}

/// Notes that a connection to an endpoint was opened. The first one after an outage wakes the requests that wait for it.
pub(super) fn connected(pool: &PoolView, endpoint: &Endpoint) {
    if endpoint.outage.end() {
        pool.handle.recovery.wake();
    }
}

/// Counts a response with this status, which was awaited since `since`.
pub(super) fn responded(worker: &Worker, pool: &PoolView, connection: &Connection, since: Instant, status: u16) {
    let endpoint = connection.endpoint();
    endpoint.succeeded();
    record_latency(worker, pool, endpoint, since, Duration::ZERO);
    let stats = endpoint.stats.of(worker.index);
    stats.responses[status_class(status)].add(1);
    let is_error = is_server_error(status);
    if is_error {
        stats.server_errors.add(1);
    }
    if pool.handle.config.retries(status) && !pool.handle.config.mesh {
        endpoint.suspicion.failed(worker.clock.now());
    }
    if pool.handle.config.ejection.counts_errors() && !pool.handle.config.mesh {
        endpoint.responded(is_error);
    }
    connection.note_response(is_error);
}

/// Records how long an endpoint took since `began`, at least `least`, if the pool's balancing uses that.
pub(super) fn record_latency(worker: &Worker, pool: &PoolView, endpoint: &Endpoint, began: Instant, least: Duration) {
    if pool.handle.config.balance == Balance::PeakEwma {
        let took = worker.clock.now().saturating_duration_since(began).max(least);
        endpoint.stats.of(worker.index).latency.record(took, worker.clock.age());
    }
}
