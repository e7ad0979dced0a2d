//! Keeps the connections of a worker to the nodes of a mesh warm: opens them ahead of need, asks them for the health
//! path, closes those that do not answer, and looks for replicas to which no connection leads.

use std::{
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    task::spawn_local,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    PoolView, Worker,
    opening::{keep as keep_idle, open_ahead},
};
use crate::{
    error::Kind,
    upstream::{
        Endpoint,
        connection::{Connection, ConnectionPermit, ask::ask, mesh::Mesh},
        mesh::plan,
    },
};

/// The interval between two looks at all connections.
const TICK: Duration = Duration::from_millis(100);

/// The most connections that begin to be asked at one tick.
const ASKS: usize = 64;

/// Tends the pools behind a mesh until it is dropped.
pub async fn keep(worker: Rc<Worker>) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let view = worker.view();
        let workers = worker.count();
        for pool in view.pools().iter().filter(|pool| pool.handle.config.mesh) {
            tend(&worker, pool, workers, Instant::now());
        }
    }
}

/// Why a connection is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// It will be needed.
    Need,
    /// It may lead to a replica that is not known, or that has few connections.
    Look,
}

fn tend(worker: &Rc<Worker>, pool: &Rc<PoolView>, workers: usize, now: Instant) {
    let config = &pool.handle.config;
    let mesh = worker.connections.mesh(&pool.handle.queue);
    let snapshot = pool.handle.snapshot.load();
    let nodes = snapshot.usable();
    let warm = plan::warm(mesh.spread().borrow().expected(), nodes.len(), workers).min(config.max_idle);
    let has = |endpoints: &[Arc<Endpoint>], node| endpoints.iter().any(|endpoint| endpoint.id == node);
    // A node that is not used now, such as a backup, keeps what was opened for requests, and not for longer than
    // others. One in maintenance keeps none.
    let may_keep = |endpoint: &Arc<Endpoint>, node| endpoint.id == node && endpoint.allows_reuse();
    let is_kept = |node| snapshot.endpoints.iter().any(|endpoint| may_keep(endpoint, node));
    let warm_at = |node| is_kept(node).then(|| if has(nodes, node) { warm } else { 0 });
    mesh.close_unneeded(warm_at, now);
    mesh.set_rotation(warm, nodes.len(), config);
    mesh.set_quiet(idle_interval(pool).is_some(), now);
    if config.has_asks() {
        let is_due = |connection: &mut Box<Connection>| connection.link().is_some_and(|link| link.is_due(now));
        for connection in mesh.extract(ASKS, is_due) {
            let (worker, pool, mesh) = (Rc::clone(worker), Rc::clone(pool), Rc::clone(&mesh));
            spawn_local(async move {
                if let Some(connection) = ask_for_health(&worker, &pool, &mesh, connection).await {
                    keep_idle(&worker, connection);
                }
            });
        }
    }
    if config.ejection.is_by_status() {
        // The control thread learns of it by the report.
        mesh.spread().borrow_mut().compare(&config.ejection, now);
    }
    if let Some(report) = mesh.report(warm, config, now) {
        pool.handle.meshes.of(worker.index).store(Some(Arc::new(report)));
    }
    // Requests that wait come first.
    if worker.is_draining() || pool.handle.queue.is_waiting() || warm == 0 {
        return;
    }
    for node in nodes {
        if mesh.spread().borrow().may_open(node.id, now) {
            let (open, opening) = (mesh.spread().borrow().to_node(node.id), mesh.spread().borrow().opening(node.id));
            for _ in 0..plan::missing(warm, open, mesh.idle_to(node.id), opening) {
                open_to(worker, pool, &mesh, node, Purpose::Need, warm);
            }
        }
    }
    if config.has_asks() && !nodes.is_empty() {
        let found = pool.handle.replicas_found.load(Relaxed);
        while mesh.explores(found, workers, now) {
            let node = usize::try_from(worker.random() % nodes.len() as u64).ok().and_then(|index| nodes.get(index));
            if let Some(node) = node.filter(|node| mesh.spread().borrow().may_open(node.id, now)) {
                open_to(worker, pool, &mesh, node, Purpose::Look, warm);
            }
        }
    }
}

/// Opens a connection to a node in a task of its own, unless the node has too many.
fn open_to(
    worker: &Rc<Worker>,
    pool: &Rc<PoolView>,
    mesh: &Rc<Mesh>,
    node: &Arc<Endpoint>,
    purpose: Purpose,
    warm: usize,
) {
    let config = &pool.handle.config;
    let max = plan::ahead(config.max_connections.get(), worker.count());
    let Some(permit) = ConnectionPermit::take(node, &pool.handle.queue, max) else { return };
    let (worker, pool, mesh) = (Rc::clone(worker), Rc::clone(pool), Rc::clone(mesh));
    // Counted before the task runs, so that no more are opened than needed.
    let opening = mesh.begin(node.id);
    spawn_local(async move {
        let config = &pool.handle.config;
        let opened = open_ahead(&worker, config, &mesh, permit).await;
        drop(opening);
        // A failure is counted already, and the next tick tries again.
        let Ok(mut connection) = opened else { return };
        if config.has_asks() {
            let before = mesh.spread().borrow().found();
            let node = connection.endpoint().id;
            let Some(asked) = ask_for_health(&worker, &pool, &mesh, connection).await else {
                mesh.spread().borrow_mut().opened(node, false, Instant::now());
                return;
            };
            connection = asked;
            if mesh.spread().borrow().found() != before {
                pool.handle.replicas_found.fetch_add(1, Relaxed);
            }
        }
        mesh.spread().borrow_mut().opened(connection.endpoint().id, true, Instant::now());
        let kept = if purpose == Purpose::Look { mesh.judge(connection, warm) } else { Some(connection) };
        if let Some(connection) = kept {
            keep_idle(&worker, connection);
        }
    });
}

/// The interval between two questions on a connection if it is longer than usual, because the pool gets no requests.
fn idle_interval(pool: &PoolView) -> Option<Duration> {
    let interval = pool.handle.config.health.as_ref()?.idle_interval?;
    pool.handle.traffic.is_quiet().then_some(interval)
}

/// Asks for the health path on a connection, and returns it if it answers and can be used again.
async fn ask_for_health(
    worker: &Worker,
    pool: &PoolView,
    mesh: &Mesh,
    mut connection: Box<Connection>,
) -> Option<Box<Connection>> {
    let Some(check) = &pool.handle.config.health else { return Some(connection) };
    let node = Arc::clone(connection.endpoint());
    let stats = node.stats.of(worker.index);
    let is_ready = match ask(&mut connection, &worker.connections.buffers, check).await {
        Ok(is_ready) => is_ready,
        Err(error) => {
            stats.ask_failures.add(1);
            if connection.is_reused() && error.kind == Kind::UpstreamClosed {
                connection.note_closed(Instant::now());
            }
            if let Some(link) = connection.link() {
                // One that is closed shows that its other end is reached.
                if error.kind == Kind::ResponseTimeout {
                    link.suspect();
                }
                let replica = link.replica();
                mesh.doubt(node.id, replica, Instant::now());
            }
            connection.discard(&worker.connections.buffers);
            return None;
        }
    };
    stats.asks.add(1);
    node.succeeded();
    let now = Instant::now();
    if connection.announced_drain() {
        worker.connections.doubt(&connection, now);
    }
    if !connection.is_reusable() || !connection.is_young(now) {
        return None;
    }
    if let Some(link) = connection.link() {
        let interval = if is_ready { idle_interval(pool).unwrap_or(check.interval) } else { check.fast_interval };
        link.answered();
        link.asked(interval.mul_f64(0.9 + 0.2 * fastrand::f64()), now);
        link.set_ready(is_ready);
    }
    Some(connection)
}
