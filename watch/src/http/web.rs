//! The state that the handlers share.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{access::Access, base_path::BasePath, hosts::Hosts, local::LocalNode, quota::Quota};
use crate::{hub::Feed, metrics::Metrics};

/// Limits of the HTTP interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of event streams, and of clients that wait for a change of the nodes.
    pub streams: usize,
    /// The same for one client.
    pub streams_per_client: usize,
    /// Maximum age of the engine's last response for this instance to be ready.
    pub fresh: Duration,
}

/// The HTTP interface.
#[derive(Debug)]
pub struct Web {
    pub(super) feed: Arc<Feed>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) access: Access,
    pub(super) hosts: Hosts,
    pub(super) base_path: BasePath,
    pub(super) limits: Limits,
    pub(super) local: LocalNode,
    /// The open event streams.
    pub(super) streams: Arc<Quota>,
    /// The clients that wait for a change of the nodes.
    pub(super) waits: Arc<Quota>,
    /// Ends streams and waits when it becomes true.
    pub(super) stopping: watch::Sender<bool>,
}

impl Web {
    /// Creates the interface to the states that `feed` publishes.
    #[must_use]
    pub fn new(
        feed: Arc<Feed>,
        metrics: Arc<Metrics>,
        access: Access,
        hosts: Hosts,
        base_path: BasePath,
        limits: Limits,
        local: LocalNode,
    ) -> Self {
        let quota = || Arc::new(Quota::new(limits.streams, limits.streams_per_client));
        Self {
            feed,
            metrics,
            access,
            hosts,
            base_path,
            limits,
            local,
            streams: quota(),
            waits: quota(),
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
