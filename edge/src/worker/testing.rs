//! A worker for tests, without sockets and threads.

use std::{
    rc::Rc,
    sync::{Arc, atomic::AtomicUsize},
};

use arc_swap::ArcSwap;

use super::{Shared, Worker, snapshot::Snapshot};
use crate::{
    config::{self, Config},
    io::memory::Budget,
    observe::{access_log::AccessLog, stats::PerWorker},
};

/// The only worker of an edge without pools, and its access log.
pub(crate) fn worker(config: Config, access_log: &config::AccessLog) -> (Rc<Worker>, AccessLog) {
    let stats = Arc::new(PerWorker::new(1));
    let log = AccessLog::start(access_log, 1, Arc::clone(&stats)).unwrap();
    let shared = Shared {
        snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::new(
            Arc::new(config),
            Vec::new(),
            crate::filters::RuleFiles::default(),
        ))),
        stats,
        heartbeats: Arc::new(PerWorker::new(1)),
        idle_wanted: PerWorker::new(1),
        open: AtomicUsize::new(0),
        clients: Arc::default(),
        memory: Arc::new(Budget::new(None, 1)),
    };
    (Worker::new(0, Arc::new(shared), log.sink(0)), log)
}
