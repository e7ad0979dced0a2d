//! The status of the edge as one value, which `/status.json` returns and the page and the metrics show.
//!
//! The format is stable: fields are added, but never renamed or removed. Times are in RFC 3339 and UTC; names of other
//! fields contain the unit.

use std::{net::SocketAddr, time::SystemTime};

use serde::{Serialize, Serializer};

use super::{
    decisions::DecisionReport,
    latency::Histogram,
    mesh::{MeshView, NodeView},
    rfc3339::{rfc3339, rfc3339_option},
};

/// The status of the edge.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The version of the edge.
    pub version: &'static str,
    /// When the counters were read.
    #[serde(serialize_with = "rfc3339")]
    pub now: SystemTime,
    /// When the edge started.
    #[serde(serialize_with = "rfc3339")]
    pub started: SystemTime,
    /// Whether every worker has recorded a heartbeat recently.
    pub alive: bool,
    /// Whether the edge is ready: it is not draining, and every pool that a route uses has a usable endpoint.
    pub ready: bool,
    /// Why the edge is not ready or not alive; empty if it is both.
    pub reasons: Vec<String>,
    /// Whether the edge is draining: it exits once the open requests have ended.
    pub draining: bool,
    /// The last reload of the configuration; `None` before the first.
    pub reload: Option<ReloadStatus>,
    /// The addresses for clients.
    pub listeners: Vec<ListenerStatus>,
    /// The routes, in the order of the configuration.
    pub routes: Vec<RouteStatus>,
    /// The pools, in the order of the configuration.
    pub pools: Vec<PoolStatus>,
    /// The workers, by number.
    pub workers: Vec<WorkerStatus>,
    /// The last decisions about endpoints, at most 200, the newest first.
    pub decisions: Vec<DecisionReport>,
    /// Failed requests and the edge's own replies: all kinds, in a fixed order.
    pub errors: Vec<ErrorCount>,
    /// Refused connections, handshakes, heads and requests: all reasons, in a fixed order.
    pub refusals: Vec<RefusalCount>,
    /// The access log.
    pub access_log: AccessLogStatus,
    /// The memory that clients make the edge hold.
    pub memory: MemoryStatus,
}

/// The memory that clients make the edge hold, as far as the edge counts it.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryStatus {
    /// Used, in bytes.
    pub used_bytes: u64,
    /// `limits.memory`, in bytes; `None` for no limit.
    pub limit_bytes: Option<u64>,
}

/// The last reload.
#[derive(Clone, Debug, Serialize)]
pub struct ReloadStatus {
    /// When the reload ended.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// Why the reload failed, so that the previous configuration stays active; `None` if it succeeded.
    pub error: Option<String>,
}

/// One address for clients.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerStatus {
    /// The bound address.
    pub address: SocketAddr,
    /// Its certificates, the one for unknown names first; `None` for plain HTTP.
    pub certificates: Option<Vec<CertificateStatus>>,
}

/// One certificate.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateStatus {
    /// The path of its file; `None` for the self-signed certificate.
    pub file: Option<String>,
    /// The names for which it is valid.
    pub names: Vec<String>,
    /// When it expires.
    #[serde(serialize_with = "rfc3339")]
    pub not_after: SystemTime,
    /// Why clients may reject it, or why changed files were not loaded; `None` if there is no problem.
    pub warning: Option<String>,
}

/// One route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteStatus {
    /// `*` for any host, `*.example.com`, or one host.
    pub host: String,
    /// The path prefix.
    pub path: String,
    /// The name of the pool.
    pub pool: String,
    /// The maximum size of a request body in bytes; `None` for no limit.
    pub max_body_bytes: Option<u64>,
    /// The names of its rules, in the order in which they are applied.
    pub rules: Vec<&'static str>,
}

/// One pool. Counters are sums over all workers since the pool was created.
#[derive(Clone, Debug, Serialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// `round_robin`, `least_requests`, `peak_ewma`, `random` or `consistent_hash`.
    pub balance: &'static str,
    /// Whether a route uses it.
    pub routed: bool,
    /// Whether the pool is in panic: too few endpoints are healthy, so all of them are used.
    pub panic: bool,
    /// Whether requests go to endpoints that drain, because no other endpoint is healthy.
    pub uses_draining: bool,
    /// The number of endpoints that may receive requests.
    pub usable: usize,
    /// The tiers in use: numbers, or `backup`.
    pub tiers_in_use: Vec<String>,
    /// The zone of this edge; `None` if none is configured.
    pub zone: Option<String>,
    /// The zone in use; `None` if requests go to endpoints of all zones.
    pub zone_in_use: Option<String>,
    /// Requests routed to the pool.
    pub requests: u64,
    /// Responses sent to clients.
    pub responses: Responses,
    /// Attempts after the first one of a request.
    pub retries: u64,
    /// The same by why the attempt before failed. The JSON has those that occurred, as an object.
    #[serde(serialize_with = "occurred")]
    pub retry_reasons: Vec<(&'static str, u64)>,
    /// Requests that moved from the endpoint of their session to another one.
    pub sessions_moved: u64,
    /// Requests that were not sent again, because the budget of retries was used up.
    pub over_budget: u64,
    /// Requests that were sent to a second endpoint, because the first one was slow.
    pub hedges: u64,
    /// Those of them to which the second endpoint responded first.
    pub hedges_won: u64,
    /// Requests for which there was no endpoint.
    pub no_endpoint: u64,
    /// Requests that wait for a connection, because every usable endpoint has as many as allowed.
    pub queue_length: usize,
    /// Requests that waited for a connection.
    pub queued: u64,
    /// Requests that waited for a connection for too long.
    pub queue_timeouts: u64,
    /// Requests that could not wait for a connection, because too many waited.
    pub queue_overflows: u64,
    /// How often the pool entered panic.
    pub panics: u64,
    /// How often each decision was taken. The JSON has those that were, as an object.
    #[serde(serialize_with = "occurred")]
    pub decision_counts: Vec<(&'static str, u64)>,
    /// The connections behind a mesh; `None` for other pools.
    pub mesh: Option<MeshView>,
    /// The latency up to the head of the response.
    pub latency: LatencyStatus,
    /// The sources of its endpoints.
    pub sources: Vec<SourceReport>,
    /// Its endpoints, ordered by address.
    pub endpoints: Vec<EndpointReport>,
}

/// Responses by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Responses {
    /// 101 only.
    #[serde(rename = "1xx")]
    pub informational: u64,
    /// 200 to 299.
    #[serde(rename = "2xx")]
    pub success: u64,
    /// 300 to 399.
    #[serde(rename = "3xx")]
    pub redirection: u64,
    /// 400 to 499.
    #[serde(rename = "4xx")]
    pub client_error: u64,
    /// 500 to 599.
    #[serde(rename = "5xx")]
    pub server_error: u64,
}

/// The time from reading the head of a request to having the head of the response, since the pool was created.
#[derive(Clone, Debug, Serialize)]
pub struct LatencyStatus {
    /// The estimated median; `None` before the first request.
    pub p50_ms: Option<f64>,
    /// The estimated 99th percentile, at most 10,000; `None` before the first request.
    pub p99_ms: Option<f64>,
    /// The histogram for the metrics.
    #[serde(skip)]
    pub(super) histogram: Histogram,
}

/// One source of endpoints.
#[derive(Clone, Debug, Serialize)]
pub struct SourceReport {
    /// The source as configured, such as `host:port` or `swarm://host:port?port=port`.
    pub source: String,
    /// The number of endpoints it currently provides.
    pub endpoints: usize,
    /// When a query last succeeded.
    #[serde(serialize_with = "rfc3339_option")]
    pub resolved: Option<SystemTime>,
    /// Why the last query failed, or what was wrong with its answer.
    pub error: Option<String>,
    /// Completed queries, to name servers or to the watch of a swarm.
    pub questions: u64,
    /// Failed queries.
    pub failures: u64,
}

/// One endpoint. Counters are sums over all workers since the endpoint joined its pool.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointReport {
    /// Its address.
    pub address: SocketAddr,
    /// Its source.
    pub source: String,
    /// `healthy`, `unhealthy`, `ejected`, `probation`, `draining`, `maintenance` or `unchecked`.
    pub state: &'static str,
    /// Its tier; `None` for a backup.
    pub tier: Option<u8>,
    /// Whether it is a backup.
    pub backup: bool,
    /// Its zone; `None` if none is configured.
    pub zone: Option<String>,
    /// What the operator ordered: `ready`, `drain` or `maintenance`.
    pub order: &'static str,
    /// Whether it may receive requests.
    pub usable: bool,
    /// Why requests that cannot be sent again avoid it, `failed` or `silent`; `None` if they do not.
    pub suspect: Option<&'static str>,
    /// Why it is in this state.
    pub reason: String,
    /// When it entered this state.
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
    /// When the time of its ejection is over; `None` if it is not ejected. With health checks it then waits for one that
    /// passes.
    #[serde(serialize_with = "rfc3339_option")]
    pub ejected_until: Option<SystemTime>,
    /// How often its state changed.
    pub flips: u64,
    /// The states before, at most five, the last one first.
    pub states_before: Vec<FlipReport>,
    /// The connections to a node of a mesh; `None` in other pools.
    pub mesh: Option<NodeView>,
    /// Attempts in flight.
    pub in_flight: u64,
    /// Attempts, including retries.
    pub requests: u64,
    /// Responses received from it.
    pub responses: Responses,
    /// Attempts that could not connect.
    pub connect_failures: u64,
    /// Attempts that failed after connecting: closed, reset or not HTTP.
    pub resets: u64,
    /// Attempts that timed out before the head of the response.
    pub timeouts: u64,
    /// Open connections.
    pub connections_open: u64,
    /// Opened connections.
    pub connections: u64,
    /// The share of attempts that reused a connection, 0.0 to 1.0; `None` before the first attempt.
    pub reuse: Option<f64>,
    /// Completed health checks.
    pub checks: u64,
    /// Failed health checks.
    pub checks_failed: u64,
    /// Ejections because of failed requests or server errors.
    pub ejections: u64,
    /// Requests on trial after an ejection that succeeded.
    pub trials_passed: u64,
    /// Requests on trial after an ejection that failed.
    pub trials_failed: u64,
    /// Its share of the requests, relative to the weights of the others; in a slow start less than the configured one.
    pub weight: f64,
    /// Slow starts.
    pub slow_starts: u64,
    /// Drains that the endpoint announced.
    pub announced_drains: u64,
    /// Orders of the operator that took it out of use.
    pub ordered_drains: u64,
}

/// A state that an endpoint was in before.
#[derive(Clone, Debug, Serialize)]
pub struct FlipReport {
    /// The state.
    pub state: &'static str,
    /// The reason for it.
    pub reason: String,
    /// When it entered the state.
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
}

/// One worker. Counters are since the worker started.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerStatus {
    /// The number of the worker, from 0.
    pub worker: usize,
    /// The time since its last heartbeat.
    pub silent_seconds: f64,
    /// Whether its last heartbeat is more than 10 s ago.
    pub stuck: bool,
    /// Accepted connections.
    pub accepted: u64,
    /// Connections closed at once because of `limits.max_connections` or `limits.memory`.
    pub refused: u64,
    /// Connections, handshakes and requests not counted for their client, because too many clients are counted.
    pub uncounted: u64,
    /// Open connections closed because of `limits.memory`.
    pub shed: u64,
    /// Failed `accept` calls.
    pub accept_errors: u64,
    /// Open connections.
    pub open: u64,
    /// Successful TLS handshakes.
    pub handshakes: u64,
    /// Failed TLS handshakes.
    pub handshake_failures: u64,
    /// Requests over HTTP/1.
    pub requests_h1: u64,
    /// Requests over HTTP/2.
    pub requests_h2: u64,
    /// Connections closed because the client sent something that is not HTTP, or a head that is too large.
    pub bad_heads: u64,
    /// Open tunnels, which are upgraded connections.
    pub tunnels: u64,
    /// Bytes received from clients, without the overhead of TLS.
    pub bytes_in: u64,
    /// Bytes sent to clients, without the overhead of TLS.
    pub bytes_out: u64,
    /// Access log records dropped because the writer did not keep up.
    pub log_dropped: u64,
}

/// The number of requests that failed for one reason, or that got one kind of the edge's own replies.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorCount {
    /// The kind, as in the access log.
    pub kind: &'static str,
    /// The number of requests.
    pub count: u64,
}

/// The number of clients that were refused for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct RefusalCount {
    /// The reason, as in the log.
    pub reason: &'static str,
    /// The number of connections, handshakes, heads or requests.
    pub count: u64,
}

/// The lines of the access log.
#[derive(Clone, Debug, Serialize)]
pub struct AccessLogStatus {
    /// Lines written.
    pub written: u64,
    /// Lines lost because a write failed.
    pub lost: u64,
    /// Failed writes.
    pub errors: u64,
    /// Records dropped because the writer did not keep up.
    pub dropped: u64,
}

impl Responses {
    /// The counts with the names of the classes, in order.
    pub(super) fn classes(&self) -> [(&'static str, u64); 5] {
        [
            ("1xx", self.informational),
            ("2xx", self.success),
            ("3xx", self.redirection),
            ("4xx", self.client_error),
            ("5xx", self.server_error),
        ]
    }
}

/// An object of those that occurred.
fn occurred<S: Serializer>(counts: &[(&'static str, u64)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter().filter(|(_, count)| *count > 0).copied())
}
