//! Opens connections to the nodes of a mesh in tasks of their own, so that a request can take another one meanwhile.

use std::{rc::Rc, sync::Arc};

use tokio::{
    sync::mpsc::{self, error::SendError},
    task::spawn_local,
    time::Instant,
};

use super::Worker;
use crate::{
    config::{self, Balance},
    error::{Error, Kind},
    observe::peak_ewma::FAILED,
    upstream::{
        Endpoint,
        connection::{Connecting, Connection, ConnectionPermit, mesh::Mesh, open},
    },
};

/// A connection, or why it could not be opened with the id of its endpoint.
pub type Opened = Result<Box<Connection>, (u64, Error)>;

/// Opens a connection for a request. If the request takes another one meanwhile, this one becomes idle. `is_second`
/// tells the taker which one it is.
pub fn open_for_request(
    worker: &Rc<Worker>,
    config: &Arc<config::Pool>,
    mesh: &Rc<Mesh>,
    connecting: Connecting,
    taker: mpsc::Sender<(bool, Opened)>,
    is_second: bool,
) {
    let (worker, config, mesh) = (Rc::clone(worker), Arc::clone(config), Rc::clone(mesh));
    spawn_local(async move {
        let node = Arc::clone(connecting.endpoint());
        let opening = mesh.begin(node.id);
        let limit = mesh.times().borrow().limit(config.timeouts.connect);
        let began = Instant::now();
        let opened = connecting.open(&config, limit).await;
        note(&worker, &mesh, &node, began, opened.as_ref().err());
        match &opened {
            // Those that are opened ahead do not count here: they would hide how many requests reused one.
            Ok(_) => node.stats.of(worker.index).connections.add(1),
            Err(error) if error.kind == Kind::NoResources => {}
            Err(_) => {
                node.connect_failed();
                node.note_unreachable(Instant::now());
                if config.balance == Balance::PeakEwma {
                    let took = Instant::now().saturating_duration_since(began).max(FAILED);
                    node.stats.of(worker.index).latency.record(took, worker.clock.age());
                }
            }
        }
        drop(opening);
        let opened = opened.map_err(|error| (node.id, error));
        if let Err(SendError((_, Ok(connection)))) = taker.send((is_second, opened)).await {
            keep(&worker, connection);
        }
    });
}

/// Opens a connection ahead of need. The caller counts it as being opened, and records whether it can be kept. A
/// failure is no evidence against the node: it is mostly one of a replica, and checks of the node follow anyway.
///
/// # Errors
/// As [`open`].
pub(super) async fn open_ahead(
    worker: &Worker,
    config: &Arc<config::Pool>,
    mesh: &Mesh,
    permit: ConnectionPermit,
) -> Result<Box<Connection>, Error> {
    let node = Arc::clone(permit.endpoint());
    let limit = mesh.times().borrow().limit(config.timeouts.connect);
    let began = Instant::now();
    let opened = open(permit, config, limit).await;
    note(worker, mesh, &node, began, opened.as_ref().err());
    let mut connection = opened?;
    mesh.adopt(&mut connection, Instant::now());
    Ok(connection)
}

/// Makes a connection idle that carried no request.
pub fn keep(worker: &Worker, mut connection: Box<Connection>) {
    let now = Instant::now();
    worker.connections.mesh(connection.queue()).adopt(&mut connection, now);
    connection.become_idle_without_request(now, &worker.connections.buffers);
    worker.connections.put(connection, now);
}

/// Records how a connection ended that began to be opened at `began`.
fn note(worker: &Worker, mesh: &Mesh, node: &Endpoint, began: Instant, error: Option<&Error>) {
    let now = Instant::now();
    let stats = node.stats.of(worker.index);
    match error {
        None => {
            node.outage.end();
            mesh.times().borrow_mut().succeeded(now.saturating_duration_since(began));
        }
        Some(error) if error.kind == Kind::NoResources => {
            worker.log_shortage(error);
        }
        Some(error) => {
            stats.connect_failures.add(1);
            if error.kind == Kind::ConnectTimeout {
                mesh.times().borrow_mut().timed_out();
            }
            mesh.spread().borrow_mut().opened(node.id, false, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, time::SystemTime};

    use tokio::task::LocalSet;

    use super::*;
    use crate::{
        config::{AccessLog, Config, Pool},
        worker::testing,
    };

    #[tokio::test]
    async fn node_that_refuses_connections_does_not_look_fast() {
        let refuses = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for (balance, expected) in [(Balance::RoundRobin, 0.0), (Balance::PeakEwma, 1.0)] {
            let config = Arc::new(Pool { balance, mesh: true, ..Pool::new("web", Vec::new()) });
            let local = LocalSet::new();
            let latency = local.run_until(async {
                let config_of_edge = Config::simple(Vec::new(), Pool::new("web", Vec::new()));
                let (worker, _log) = testing::worker(config_of_edge, &AccessLog::Off);
                let queue = Arc::default();
                let node = Arc::new(Endpoint::new(refuses, "s".into(), 1, SystemTime::UNIX_EPOCH));
                let permit = ConnectionPermit::take(&node, &queue, 1).unwrap();
                let (taker, mut opened) = mpsc::channel(1);
                let mesh = worker.connections.mesh(&queue);
                open_for_request(&worker, &config, &mesh, Connecting::new(permit, 0), taker, false);
                assert!(opened.recv().await.unwrap().1.is_err());
                node.latency(0, worker.clock.age())
            });
            let latency = latency.await;
            assert!((latency - expected).abs() < 0.1, "{latency} with {balance:?}");
        }
    }
}
