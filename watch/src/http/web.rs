//! The state that the handlers share.

use std::{sync::Arc, time::Duration};

use tokio::sync::{Semaphore, watch};

use super::{access::Access, local::LocalNode};
use crate::{hub::Feed, metrics::Metrics};

/// Limits of the HTTP interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of event streams, and of clients that wait for a change of the nodes.
    pub streams: usize,
    /// Maximum age of the engine's last response for this instance to be ready.
    pub fresh: Duration,
}

/// The HTTP interface.
#[derive(Debug)]
pub struct Web {
    pub(super) feed: Arc<Feed>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) access: Access,
    pub(super) limits: Limits,
    pub(super) local: LocalNode,
    /// A permit for each event stream.
    pub(super) streams: Arc<Semaphore>,
    /// A permit for each client that waits for a change of the nodes.
    pub(super) waits: Arc<Semaphore>,
    /// Ends streams and waits when it becomes true.
    pub(super) stopping: watch::Sender<bool>,
}

impl Web {
    /// Creates the interface to the states that `feed` publishes.
    #[must_use]
    pub fn new(feed: Arc<Feed>, metrics: Arc<Metrics>, access: Access, limits: Limits, local: LocalNode) -> Self {
        Self {
            feed,
            metrics,
            access,
            limits,
            local,
            streams: Arc::new(Semaphore::new(limits.streams)),
            waits: Arc::new(Semaphore::new(limits.streams)),
            stopping: watch::Sender::new(false),
        }
    }

    /// Makes this instance not ready, and ends streams and waits.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }
}
