//! What the admin listener reads: counters, and the state of the edge as the control thread keeps it.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::SystemTime,
};

use arc_swap::{ArcSwap, ArcSwapOption};

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
pub struct AdminState {
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
