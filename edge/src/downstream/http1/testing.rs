//! A worker and a client for tests, without sockets and threads.

use std::rc::Rc;

use tokio::{io::DuplexStream, net::TcpStream, time::Instant};

use crate::{
    config::{self, Config, Limits, Listener, Pool},
    io::splice::Transport,
    observe::access_log::AccessLog,
    protocol::headers::Client,
    worker::{Worker, client_activity::ClientActivity, testing},
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
    testing::worker(config, access_log)
}

/// A client connection of that worker.
pub(super) fn activity(worker: &Rc<Worker>) -> Rc<ClientActivity> {
    let client = Client::new("127.0.0.1:4711".parse().unwrap(), false, &[]);
    Rc::new(ClientActivity::new(client, worker, Instant::now()))
}
