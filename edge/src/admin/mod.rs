//! What operators and their tools read: a status page, its JSON, metrics, liveness and readiness.
//!
//! `Admin -> Status -> page | JSON | metrics | answer`. [`Status::collect`] reads the counters once; all
//! that is shown is made of that value and of nothing else, so page and metrics of one moment agree and
//! are tested without a socket. Runs on the control thread, so it answers while workers are stuck, which
//! is what liveness is about.
//!
//! There is nothing to change here and no secret to read, so nobody has to log in; the address is
//! loopback unless configured otherwise.

mod answer;
mod collect;
mod families;
mod latency;
mod metrics;
mod page;
mod serve;
mod status;
#[cfg(test)]
mod tests;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::SystemTime,
};

use arc_swap::{ArcSwap, ArcSwapOption};

pub use self::{
    serve::serve,
    status::{
        AccessLogStatus, CertificateStatus, EndpointReport, ErrorCount, LatencyStatus, ListenerStatus, PoolStatus,
        ReloadStatus, Responses, RouteStatus, SourceReport, Status, WorkerStatus,
    },
};
use crate::{
    downstream::tls::TlsListener,
    observe::{
        access_log::LogStats,
        stats::{PerWorker, WorkerStats},
    },
    worker::{heartbeat::Heartbeat, snapshot::Snapshot},
};

/// All that the admin listener reads. Shared with whoever writes it; nothing here is written by it.
#[derive(Debug)]
pub struct Admin {
    /// The configuration in force and its pools.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// What workers count.
    pub workers: Arc<PerWorker<WorkerStats>>,
    /// Whether they run.
    pub heartbeats: Arc<PerWorker<Heartbeat>>,
    /// What is listened on; replaced by a reload that changes it.
    pub listeners: ArcSwap<Vec<BoundListener>>,
    /// What became of the access log's lines.
    pub access_log: Arc<LogStats>,
    /// Set when the edge was asked to end and finishes open requests.
    pub draining: Arc<AtomicBool>,
    /// How the last reload of the configuration went; `None` when there was none.
    pub reload: ArcSwapOption<Reload>,
    /// When the process started.
    pub started: SystemTime,
}

/// An address that clients connect to, as bound.
#[derive(Clone, Debug)]
pub struct BoundListener {
    /// With the real port where 0 was configured.
    pub address: SocketAddr,
    /// Its certificates; `None` is plain HTTP.
    pub tls: Option<Arc<TlsListener>>,
}

/// How a reload of the configuration went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// When.
    pub at: SystemTime,
    /// Why it was refused and the configuration of before stays; `None` when it is in force.
    pub error: Option<String>,
}
