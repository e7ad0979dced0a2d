//! One moment of the edge as a value: what `/status.json` says and page and metrics are made of.
//!
//! The shape is stable: fields are added, never renamed or removed. Times are RFC 3339 in UTC, other
//! units are in the name.

use std::{net::SocketAddr, time::SystemTime};

use serde::{Serialize, Serializer};

use super::latency::Histogram;

/// The edge at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Of this program.
    pub version: &'static str,
    /// When the numbers were read.
    #[serde(serialize_with = "rfc3339")]
    pub now: SystemTime,
    /// When the process started.
    #[serde(serialize_with = "rfc3339")]
    pub started: SystemTime,
    /// Every worker was seen running lately.
    pub alive: bool,
    /// Requests are served: not draining, and every pool that a route uses has a usable endpoint.
    pub ready: bool,
    /// Why it is not ready, or not alive. Empty when all is well.
    pub reasons: Vec<String>,
    /// Asked to end; open requests are finished.
    pub draining: bool,
    /// The last reload of the configuration, if there was one.
    pub reload: Option<ReloadStatus>,
    /// What clients connect to.
    pub listeners: Vec<ListenerStatus>,
    /// Which request goes where, in the order of the configuration.
    pub routes: Vec<RouteStatus>,
    /// Where it goes.
    pub pools: Vec<PoolStatus>,
    /// Who does it.
    pub workers: Vec<WorkerStatus>,
    /// Answers that the edge gave by itself, by kind; all kinds, in a fixed order.
    pub errors: Vec<ErrorCount>,
    /// What became of the access log's lines.
    pub access_log: AccessLogStatus,
}

/// How the last reload went.
#[derive(Clone, Debug, Serialize)]
pub struct ReloadStatus {
    /// When.
    #[serde(serialize_with = "rfc3339")]
    pub at: SystemTime,
    /// Why the configuration of before stays in force; `None` when the new one is.
    pub error: Option<String>,
}

/// One address that clients connect to.
#[derive(Clone, Debug, Serialize)]
pub struct ListenerStatus {
    /// As bound.
    pub address: SocketAddr,
    /// Its certificates, the one for unknown names first; `None` is plain HTTP.
    pub certificates: Option<Vec<CertificateStatus>>,
}

/// One certificate.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateStatus {
    /// Where it was read; `None` for the self-signed one.
    pub file: Option<String>,
    /// What it is good for.
    pub names: Vec<String>,
    /// When it ends.
    #[serde(serialize_with = "rfc3339")]
    pub not_after: SystemTime,
    /// What clients object to, or why newer files are not used; `None` when all is well.
    pub warning: Option<String>,
}

/// One route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteStatus {
    /// `*` for any, `*.example.com`, or one host.
    pub host: String,
    /// Path prefix.
    pub path: String,
    /// Name of the pool.
    pub pool: String,
    /// Largest request body in bytes; `None` is unlimited.
    pub max_body_bytes: Option<u64>,
}

/// One pool. Counts are since its start, over all workers.
#[derive(Clone, Debug, Serialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// `round_robin`, `least_requests` or `random`.
    pub balance: &'static str,
    /// Whether a route uses it.
    pub routed: bool,
    /// Too few are healthy, so all are used.
    pub panic: bool,
    /// How many endpoints requests go to at present.
    pub usable: usize,
    /// Requests routed here.
    pub requests: u64,
    /// Answers sent to clients.
    pub responses: Responses,
    /// Attempts beyond a request's first.
    pub retries: u64,
    /// Requests that found no endpoint.
    pub no_endpoint: u64,
    /// How often health had to be ignored because too few were healthy.
    pub panics: u64,
    /// Until the response head.
    pub latency: LatencyStatus,
    /// Where the endpoints come from.
    pub sources: Vec<SourceReport>,
    /// Who they are, ordered by address.
    pub endpoints: Vec<EndpointReport>,
}

/// Counts of responses by class.
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

/// How long requests took until the response head was at hand, since the pool's start.
#[derive(Clone, Debug, Serialize)]
pub struct LatencyStatus {
    /// Half of them took no longer, estimated; `None` while there are none.
    pub p50_ms: Option<f64>,
    /// 99 % of them took no longer, estimated; never above 10,000.
    pub p99_ms: Option<f64>,
    /// For the metrics.
    #[serde(skip)]
    pub(super) histogram: Histogram,
}

/// Where endpoints come from.
#[derive(Clone, Debug, Serialize)]
pub struct SourceReport {
    /// As configured: `host:port`, or `swarm://host:port?port=port`.
    pub source: String,
    /// Endpoints it gives at present.
    pub endpoints: usize,
    /// When it was last answered well.
    #[serde(serialize_with = "rfc3339_option")]
    pub resolved: Option<SystemTime>,
    /// Why the last question gave nothing new.
    pub error: Option<String>,
    /// Questions to the name servers, or to a swarm's watch, that came to an end.
    pub questions: u64,
    /// Those of them that went wrong.
    pub failures: u64,
}

/// One endpoint. Counts are since it joined its pool, over all workers.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointReport {
    /// Where it listens.
    pub address: SocketAddr,
    /// The source it came from.
    pub source: String,
    /// `healthy`, `unhealthy`, `ejected` or `unchecked`.
    pub state: &'static str,
    /// Whether requests go there at present.
    pub usable: bool,
    /// What brought it into its state.
    pub reason: String,
    /// Since when.
    #[serde(serialize_with = "rfc3339")]
    pub since: SystemTime,
    /// Attempts under way.
    pub in_flight: u64,
    /// Attempts sent.
    pub requests: u64,
    /// Response heads received.
    pub responses: Responses,
    /// Attempts that failed before a connection stood.
    pub connect_failures: u64,
    /// Attempts that failed after it.
    pub resets: u64,
    /// Attempts without a response head in time.
    pub timeouts: u64,
    /// Connections open.
    pub connections_open: u64,
    /// Connections opened.
    pub connections: u64,
    /// Share of attempts that used a connection again, 0.0 to 1.0; `None` while there are none.
    pub reuse: Option<f64>,
    /// Active health checks that came to an end.
    pub checks: u64,
    /// Those of them that failed.
    pub checks_failed: u64,
    /// Ejections for failures of real requests.
    pub ejections: u64,
}

/// One worker. Counts are since its start.
#[derive(Clone, Debug, Serialize)]
pub struct WorkerStatus {
    /// Its number, from 0.
    pub worker: usize,
    /// How long it was not seen running.
    pub silent_seconds: f64,
    /// Silent for more than 10 s.
    pub stuck: bool,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once because of the limit.
    pub refused: u64,
    /// Failed `accept` calls.
    pub accept_errors: u64,
    /// Open connections.
    pub open: u64,
    /// TLS handshakes that succeeded.
    pub handshakes: u64,
    /// TLS handshakes that did not.
    pub handshake_failures: u64,
    /// Requests over HTTP/1.
    pub requests_h1: u64,
    /// Requests over HTTP/2.
    pub requests_h2: u64,
    /// Connections ended by something that is not HTTP.
    pub bad_heads: u64,
    /// Upgraded connections under way.
    pub tunnels: u64,
    /// Bytes read from clients.
    pub bytes_in: u64,
    /// Bytes written to clients.
    pub bytes_out: u64,
    /// Access log lines dropped because the writer did not keep up.
    pub log_dropped: u64,
}

/// How often the edge answered by itself for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorCount {
    /// As in the access log.
    pub kind: &'static str,
    /// How often.
    pub count: u64,
}

/// What became of the access log's lines.
#[derive(Clone, Debug, Serialize)]
pub struct AccessLogStatus {
    /// Lines written.
    pub written: u64,
    /// Lines lost because they could not be written.
    pub lost: u64,
    /// Failed writes.
    pub errors: u64,
    /// Lines dropped by workers because the writer did not keep up.
    pub dropped: u64,
}

impl Responses {
    /// With the names of the classes, in order.
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

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_rfc3339_millis((*time).max(SystemTime::UNIX_EPOCH)))
}

fn rfc3339_option<S: Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => rfc3339(time, serializer),
        None => serializer.serialize_none(),
    }
}
