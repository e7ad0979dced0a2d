//! The state that the admin listener reads.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::SystemTime,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{mpsc, oneshot};

use crate::{
    downstream::tls::TlsListener,
    io::memory::Budget,
    observe::{
        access_log::LogStats,
        log_limit::LogLimit,
        stats::{PerWorker, WorkerStats},
    },
    upstream::{manager::NotFound, order::Order},
    worker::{heartbeat::Heartbeat, snapshot::Snapshot},
};

/// The state that the admin listener reads. Workers and the control thread write it; the listener passes orders on.
#[derive(Debug)]
pub struct AdminState {
    /// The active configuration and its pools.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The counters of each worker.
    pub workers: Arc<PerWorker<WorkerStats>>,
    /// The heartbeat of each worker.
    pub heartbeats: Arc<PerWorker<Heartbeat>>,
    /// The bound addresses for clients; replaced by a reload that changes them.
    pub listeners: ArcSwap<Vec<BoundListener>>,
    /// The counters of written and lost access log lines.
    pub access_log: Arc<LogStats>,
    /// The memory that clients make the edge hold.
    pub memory: Arc<Budget>,
    /// Whether the edge is draining: it exits once the open requests have ended.
    pub draining: Arc<AtomicBool>,
    /// Takes the operator's orders to the control thread. Closed once the edge drains.
    pub orders: mpsc::Sender<EndpointOrder>,
    /// Limits the log lines about refused orders.
    pub refused_orders: Mutex<LogLimit>,
    /// The last reload of the configuration; `None` before the first.
    pub reload: ArcSwapOption<Reload>,
    /// When the edge started.
    pub started: SystemTime,
}

/// An order of the operator for the control thread.
#[derive(Debug)]
pub struct EndpointOrder {
    /// The name of the pool.
    pub pool: String,
    /// The address of the endpoint.
    pub endpoint: SocketAddr,
    /// What is ordered.
    pub order: Order,
    /// The address from which the order comes, if it is known.
    pub client: Option<SocketAddr>,
    /// Gets the previous order.
    pub answer: oneshot::Sender<Result<Order, NotFound>>,
}

/// A bound address for clients.
#[derive(Clone, Debug)]
pub struct BoundListener {
    /// The address; if the configured port is 0, with the port that the kernel chose.
    pub address: SocketAddr,
    /// Its TLS configuration; `None` for plain HTTP.
    pub tls: Option<Arc<TlsListener>>,
}

/// The outcome of a reload of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reload {
    /// When the reload ended.
    pub at: SystemTime,
    /// Why the reload failed, so that the previous configuration stays active; `None` if it succeeded.
    pub error: Option<String>,
}
