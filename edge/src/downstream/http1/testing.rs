//! A worker and a client for tests, without sockets and threads.

use std::{
    rc::Rc,
    sync::{Arc, atomic::AtomicUsize},
};

use arc_swap::ArcSwap;
use tokio::{io::DuplexStream, net::TcpStream, time::Instant};

use crate::{
    config::{self, Config, Limits, Listener, Pool},
    io::{memory::Budget, splice::Transport},
    observe::{access_log::AccessLog, stats::PerWorker},
    protocol::headers::Client,
    worker::{Shared, Worker, client_activity::ClientActivity, snapshot::Snapshot},
};

impl Transport for DuplexStream {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    fn is_reset(&self) -> bool {
        false
    }

    fn reset_on_close(&self) {}
}

/// A worker without pools that allows heads of 1 KiB, and its access log.
pub(super) fn worker(access_log: &config::AccessLog) -> (Rc<Worker>, AccessLog) {
    let listener = Listener::plain("127.0.0.1:80".parse().unwrap());
    let config = Config::simple(vec![listener], Pool::new("web", Vec::new()));
    let config = Config { limits: Limits { max_head: 1024, ..config.limits }, ..config };
    let stats = Arc::new(PerWorker::new(1));
    let log = AccessLog::start(access_log, 1, Arc::clone(&stats)).unwrap();
    let shared = Shared {
        snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::new(Arc::new(config), Vec::new()))),
        stats,
        heartbeats: Arc::new(PerWorker::new(1)),
        idle_wanted: PerWorker::new(1),
        open: AtomicUsize::new(0),
        clients: Arc::default(),
        memory: Arc::new(Budget::new(None, 1)),
    };
    (Worker::new(0, Arc::new(shared), log.sink(0)), log)
}

/// A client connection of that worker.
pub(super) fn activity(worker: &Rc<Worker>) -> Rc<ClientActivity> {
    let client = Client::new("127.0.0.1:4711".parse().unwrap(), false, &[]);
    Rc::new(ClientActivity::new(client, worker, Instant::now()))
}
