//! The connections of one worker to the nodes of a mesh; see [`mesh`](crate::upstream::mesh).
//!
//! Dropping a connection counts it in the spread, and may wake a request. So nothing here drops one while it borrows
//! either part of its state.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{Connection, Place};
use crate::{
    config,
    upstream::{
        mesh::{
            connect_time::ConnectTimes,
            link::Link,
            plan::{self, Exploration, Idle, Verdict},
            report::MeshReport,
            spread::{Spread, UNKNOWN},
            warm::{Rotation, Warm},
        },
        queue::Queue,
    },
};

/// The interval between two reports to operators.
const REPORTS: Duration = Duration::from_secs(1);

/// The connections of one worker and one pool.
#[derive(Debug)]
pub struct Mesh {
    /// The queue of the pool.
    queue: Arc<Queue<Place>>,
    spread: Rc<RefCell<Spread>>,
    /// The idle connections.
    warm: RefCell<Warm<Box<Connection>>>,
    /// How long connecting takes.
    times: RefCell<ConnectTimes>,
    exploration: RefCell<Exploration>,
    /// The pool's number of replicas that appeared, as far as this worker looked for them.
    seen: Cell<u64>,
    /// Notified when a connection becomes idle.
    freed: Notify,
    /// The pool gets no requests, so that its connections are seldom asked.
    quiet: Cell<bool>,
    /// When the next report is due.
    report_due: Cell<Instant>,
}

/// A connection that is being opened, counted until dropped.
#[derive(Debug)]
pub struct Opening {
    spread: Rc<RefCell<Spread>>,
    node: u64,
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.spread.borrow_mut().end(self.node);
    }
}

impl Mesh {
    /// No connections of a pool with this queue.
    #[must_use]
    pub fn new(queue: &Arc<Queue<Place>>, now: Instant) -> Self {
        Self {
            queue: Arc::clone(queue),
            spread: Rc::default(),
            warm: RefCell::default(),
            times: RefCell::default(),
            exploration: RefCell::new(Exploration::new(now)),
            seen: Cell::new(0),
            freed: Notify::new(),
            quiet: Cell::new(false),
            report_due: Cell::new(now),
        }
    }

    /// The queue of the pool.
    #[must_use]
    pub fn queue(&self) -> &Arc<Queue<Place>> {
        &self.queue
    }

    /// How the connections are spread.
    #[must_use]
    pub fn spread(&self) -> &RefCell<Spread> {
        &self.spread
    }

    /// How long connecting takes.
    #[must_use]
    pub fn times(&self) -> &RefCell<ConnectTimes> {
        &self.times
    }

    /// Counts an open connection, unless it is counted.
    pub fn adopt(&self, connection: &mut Connection, now: Instant) {
        if connection.link.is_none() {
            let node = connection.endpoint().id;
            let mut link = Link::new(&self.spread, node, fastrand::f64(), now);
            if let Some(known) = connection.known.take() {
                link.restore(&known);
            }
            connection.link = Some(link);
        }
    }

    /// Counts a connection to a node that is being opened.
    #[must_use]
    pub fn begin(&self, node: u64) -> Opening {
        self.spread.borrow_mut().begin(node);
        Opening { spread: Rc::clone(&self.spread), node }
    }

    /// Takes the connection whose turn it is of those that `allow` accepts. Those whose replica should get no
    /// requests or may not answer are taken only if all are like that, busy ones included. With `ask_kernel` the kernel
    /// decides whether it is open.
    pub fn take(&self, ask_kernel: bool, allow: impl Fn(&Connection) -> bool) -> Option<Box<Connection>> {
        let is_well = |spread: &Spread, connection: &Connection| {
            let node = connection.endpoint().id;
            connection.link.as_ref().is_none_or(|link| link.is_ready() && !spread.is_suspect(node, link.replica()))
        };
        let is_allowed = |_: &Spread, connection: &Connection| allow(connection);
        let ready = self.take_open(ask_kernel, false, |spread, connection| {
            is_well(spread, connection) && is_allowed(spread, connection)
        });
        let has_others = || !self.spread.borrow().is_unready() && !self.spread.borrow().is_suspect_throughout();
        if ready.is_some() || has_others() {
            return ready;
        }
        self.take_open(ask_kernel, true, is_allowed)
    }

    fn take_open(
        &self,
        ask_kernel: bool,
        even_ejected: bool,
        allow: impl Fn(&Spread, &Connection) -> bool,
    ) -> Option<Box<Connection>> {
        loop {
            let connection = {
                let (mut warm, mut spread) = (self.warm.borrow_mut(), self.spread.borrow_mut());
                warm.take(&mut spread, even_ejected, |spread, connection| allow(spread, connection))?
            };
            let is_open = if ask_kernel { connection.is_open_in_kernel() } else { connection.is_open() };
            if is_open && connection.endpoint().allows_reuse() {
                return Some(connection);
            }
            let (node, replica) = (connection.endpoint().id, connection.link.as_ref().map(Link::replica));
            if !is_open {
                connection.note_closed(Instant::now());
            }
            drop(connection);
            if let Some(replica) = replica {
                self.doubt(node, replica, Instant::now());
            }
        }
    }

    /// Adds an idle connection, unless the node has as many as allowed.
    pub fn put(&self, mut connection: Box<Connection>, now: Instant) {
        self.adopt(&mut connection, now);
        let node = connection.endpoint().id;
        let pool = connection.pool();
        let is_scarce = || connection.endpoint().connections.load(Relaxed) >= pool.max_connections.get();
        // Counting is needed only near the limit.
        let is_full = self.spread.borrow().to_node(node) > pool.max_idle && self.idle(node) >= pool.max_idle;
        if is_full || (pool.timeouts.queue.is_zero() && is_scarce()) {
            return;
        }
        let replica = connection.link.as_ref().map_or(0, Link::replica);
        // One that was only asked stays where it was, so that those that requests do not need expire.
        let idle_since = connection.idle_since;
        self.warm.borrow_mut().put(replica, connection, |other| other.idle_since <= idle_since);
        self.freed.notify_one();
    }

    /// Waits until a connection becomes idle, or returns without one.
    pub async fn freed(&self, within: Duration) {
        // Time that passes without a connection is no error.
        drop(timeout(within, self.freed.notified()).await);
    }

    /// Takes idle connections for which `wanted` returns true, at most `max`.
    pub fn extract(&self, max: usize, wanted: impl FnMut(&mut Box<Connection>) -> bool) -> Vec<Box<Connection>> {
        self.warm.borrow_mut().extract(max, wanted)
    }

    /// The number of idle connections to a node.
    #[must_use]
    pub fn idle(&self, node: u64) -> usize {
        self.warm.borrow().iter().filter(|connection| connection.endpoint().id == node).count()
    }

    /// The idle connections to a node, by whether the next request can take them.
    #[must_use]
    pub fn idle_to(&self, node: u64) -> Idle {
        let mut idle = Idle::default();
        for connection in self.warm.borrow().iter().filter(|connection| connection.endpoint().id == node) {
            let is_unfit = connection.link.as_ref().is_some_and(Link::is_unfit);
            *(if is_unfit { &mut idle.unfit } else { &mut idle.spare }) += 1;
        }
        idle
    }

    /// Makes the idle connections to a node and those to a replica due to be asked.
    pub fn doubt(&self, node: u64, replica: usize, now: Instant) {
        for connection in self.warm.borrow_mut().iter_mut() {
            let is_same = connection.endpoint().id == node;
            if let Some(link) = &mut connection.link
                && (is_same || link.replica() == replica)
            {
                link.doubt(now);
            }
        }
    }

    /// Sets whether the pool gets no requests, so that its connections are seldom asked. When it gets some again, all are
    /// due to be asked, and there may be new replicas.
    pub fn set_quiet(&self, quiet: bool, now: Instant) {
        if self.quiet.replace(quiet) && !quiet {
            self.warm
                .borrow_mut()
                .iter_mut()
                .filter_map(|connection| connection.link.as_mut())
                .for_each(|link| link.doubt(now));
            self.exploration.borrow_mut().news(now);
        }
    }

    /// Closes idle connections that the endpoint closed, that are too old, and those that were not used for long beyond
    /// the number that `warm` returns for their node, or all if that is `None`.
    pub fn close_unneeded(&self, warm: impl Fn(u64) -> Option<usize>, now: Instant) {
        let mut lost = Vec::new();
        let closed = self.extract(usize::MAX, |connection| {
            let node = connection.endpoint().id;
            if !connection.is_open() {
                connection.note_closed(now);
                lost.push((node, connection.link.as_ref().map_or(0, Link::replica)));
                return true;
            }
            connection.note_open(now);
            warm(node).is_none() || !connection.is_young(now)
        });
        drop(closed);
        if !lost.is_empty() {
            self.exploration.borrow_mut().news(now);
        }
        lost.into_iter().for_each(|(node, replica)| self.doubt(node, replica, now));
        let mut nodes: Vec<(u64, usize)> = Vec::new();
        let spread = Rc::clone(&self.spread);
        let expired = self.extract(usize::MAX, |connection| {
            let node = connection.endpoint().id;
            let position = nodes.iter().position(|(known, _)| *known == node).unwrap_or_else(|| {
                let beyond = spread.borrow().to_node(node).saturating_sub(warm(node).unwrap_or(0));
                nodes.push((node, beyond));
                nodes.len() - 1
            });
            let Some((_, beyond)) = nodes.get_mut(position) else { return false };
            let expires = *beyond > 0 && connection.is_idle_expired(now);
            *beyond -= usize::from(expires);
            expires
        });
        drop(expired);
        self.spread.borrow_mut().forget(now, |node| warm(node).is_some());
    }

    /// Adapts the order in which connections are used to the number of `warm` ones at each of `nodes`.
    pub fn set_rotation(&self, warm: usize, nodes: usize, pool: &config::Pool) {
        let all = warm.saturating_mul(nodes).max(1);
        let known = all.div_ceil(self.spread.borrow().replicas().max(1)).max(2);
        let unknown_first = !pool.has_asks();
        self.warm.borrow_mut().set_rotation(Rotation { known, unknown: all, unknown_first });
    }

    /// Returns what operators see of the connections, of which `warm` are kept to each node, if that is due.
    #[must_use]
    pub fn report(&self, warm: usize, pool: &config::Pool, now: Instant) -> Option<MeshReport> {
        if now < self.report_due.get() {
            return None;
        }
        self.report_due.set(now + REPORTS);
        let (spread, idle, times) = (self.spread.borrow(), self.warm.borrow(), self.times.borrow());
        let mut nodes: Vec<_> = spread.report_nodes().collect();
        for connection in idle.iter() {
            let id = connection.endpoint().id;
            let Some(node) = nodes.iter_mut().find(|node| node.node == id) else { continue };
            let is_ready = |link: &Link| {
                link.is_ready() && !spread.is_suspect(id, link.replica()) && !spread.is_ejected(link.replica())
            };
            node.idle += 1;
            node.ready += usize::from(connection.link.as_ref().is_none_or(is_ready));
        }
        Some(MeshReport {
            connect_timeout: times.limit(pool.timeouts.connect),
            late_after: times.late_after(pool.timeouts.connect),
            warm,
            unknown: spread.to_replica(UNKNOWN),
            nodes,
            replicas: spread.report_replicas().collect(),
        })
    }

    /// Whether one of `workers` must open a connection now to look for replicas. `found` is how often one appeared to
    /// any of them. While the pool gets no requests, only news are a reason.
    #[must_use]
    pub fn explores(&self, found: u64, workers: usize, now: Instant) -> bool {
        let mut exploration = self.exploration.borrow_mut();
        if self.seen.replace(found) != found || self.spread.borrow().lacks_one() {
            exploration.news(now);
        }
        (!self.quiet.get() || exploration.is_eager(now)) && exploration.is_due(now, workers, fastrand::f64())
    }

    /// Decides whether a connection that was opened to look for replicas stays; see [`plan::judge`]. Returns it if so.
    #[must_use]
    pub fn judge(&self, connection: Box<Connection>, warm: usize) -> Option<Box<Connection>> {
        let node = connection.endpoint().id;
        let replica = connection.link.as_ref().map_or(0, Link::replica);
        let verdict = {
            let (spread, idle) = (self.spread.borrow(), self.warm.borrow());
            let there = idle.iter().filter(|connection| connection.endpoint().id == node);
            let replicas = there.filter_map(|connection| connection.link.as_ref().map(Link::replica));
            let replicas = replicas.map(|replica| (replica, spread.to_replica(replica)));
            plan::judge(spread.to_replica(replica), spread.to_node(node), warm, replicas)
        };
        match verdict {
            Verdict::Keep => Some(connection),
            Verdict::Close => None,
            Verdict::Replace(other) => {
                drop(self.extract(1, |connection| {
                    let is_other = connection.link.as_ref().is_some_and(|link| link.replica() == other);
                    is_other && connection.endpoint().id == node
                }));
                Some(connection)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        task::{Context, Waker},
        time::SystemTime,
    };

    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::upstream::{Endpoint, connection::ConnectionPermit};

    /// A connection to a program that says nothing.
    async fn connection(listener: &TcpListener, queue: &Arc<Queue<Place>>) -> Box<Connection> {
        let address = listener.local_addr().unwrap();
        let endpoint = Arc::new(Endpoint::new(address, "s".into(), 1, SystemTime::UNIX_EPOCH));
        let permit = ConnectionPermit::take(&endpoint, queue, 9).unwrap();
        let pool = config::Pool { mesh: true, ..config::Pool::new("p", Vec::new()) };
        let stream = TcpStream::connect(address).await.unwrap();
        Box::new(Connection::new(stream, permit, Arc::new(pool), Instant::now()))
    }

    fn is_ready(future: Pin<&mut impl Future<Output = ()>>) -> bool {
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn wake_up_of_a_request_that_is_gone_goes_to_the_next_one() {
        let mesh = Mesh::new(&Arc::default(), Instant::now());
        let wait = || Box::pin(mesh.freed(Duration::from_secs(1)));
        let (mut first, mut second) = (wait(), wait());
        assert!(!is_ready(first.as_mut()) && !is_ready(second.as_mut()));
        mesh.freed.notify_one();
        drop(first);
        assert!(is_ready(second.as_mut()));
    }

    #[tokio::test]
    async fn connection_that_moves_to_another_worker_keeps_its_replica_and_whether_it_is_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        for is_ready in [true, false] {
            let queue = Arc::default();
            let (here, there) = (Mesh::new(&queue, Instant::now()), Mesh::new(&queue, Instant::now()));
            let mut connection = connection(&listener, &queue).await;
            here.adopt(&mut connection, Instant::now());
            let link = connection.link().unwrap();
            link.learn(b"web.1");
            link.set_ready(is_ready);
            let place = connection.into_place().unwrap();
            let mut moved = Connection::from_place(place, Instant::now()).unwrap();
            there.adopt(&mut moved, Instant::now());
            let link = moved.link().unwrap();
            assert_eq!((there.spread().borrow().name(link.replica()), link.is_ready()), (&b"web.1"[..], is_ready));
            assert_eq!(here.spread().borrow().replicas(), 1);
        }
    }

    #[tokio::test]
    async fn idle_connections_that_no_request_should_take_are_no_spare_ones() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let queue = Arc::default();
        let mesh = Mesh::new(&queue, Instant::now());
        let mut node = 0;
        for (name, is_ready, expected) in
            [("a", false, (1, 0)), ("b", true, (1, 1)), ("c", false, (1, 2)), ("d", true, (2, 2))]
        {
            let mut connection = connection(&listener, &queue).await;
            mesh.adopt(&mut connection, Instant::now());
            node = connection.endpoint().id;
            let link = connection.link().unwrap();
            link.learn(name.as_bytes());
            link.set_ready(is_ready);
            mesh.put(connection, Instant::now());
            let all = mesh.warm.borrow().iter().map(|connection| connection.endpoint().id).collect::<Vec<_>>();
            let idle = all
                .iter()
                .map(|node| mesh.idle_to(*node))
                .fold((0, 0), |(spare, unfit), idle| (spare + idle.spare, unfit + idle.unfit));
            assert_eq!(idle, expected, "with {name}");
        }
        assert_eq!(mesh.idle_to(node), Idle { spare: 1, unfit: 0 });
    }

    #[tokio::test]
    async fn a_pool_that_gets_requests_again_asks_on_all_connections_and_looks_for_replicas() {
        let (listener, queue, start) =
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::default(), Instant::now());
        let mesh = Mesh::new(&queue, start);
        let mut connection = connection(&listener, &queue).await;
        mesh.adopt(&mut connection, start);
        connection.link().unwrap().asked(Duration::from_secs(3600), start);
        mesh.put(connection, start);
        let is_due = |now| mesh.warm.borrow().iter().any(|connection| connection.link.as_ref().unwrap().is_due(now));
        let later = |minutes: u64| start + Duration::from_secs(60 * minutes);
        assert!(mesh.explores(0, 1, later(1)), "there are requests");
        mesh.set_quiet(true, later(2));
        assert!(!is_due(later(3)) && !mesh.explores(0, 1, later(3)));
        assert!(mesh.explores(1, 1, later(4)), "another worker found one");
        assert!(!mesh.explores(1, 1, later(5)));
        mesh.set_quiet(false, later(6));
        assert!(is_due(later(6)) && mesh.explores(1, 1, later(6)));
    }

    #[tokio::test]
    async fn idle_connections_that_are_found_closed_tell_how_long_they_live() {
        let (listener, queue) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::default());
        let mesh = Mesh::new(&queue, Instant::now());
        for is_taken in [true, false] {
            let connection = connection(&listener, &queue).await;
            let (node, opened) = (Arc::clone(connection.endpoint()), connection.quiet_since);
            mesh.put(connection, opened);
            mesh.close_unneeded(|_| Some(9), opened + Duration::from_secs(4));
            assert_eq!(node.idle_life.limit(Instant::now()), None);
            let (accepted, _) = listener.accept().await.unwrap();
            drop(accepted);
            // Until the runtime knows.
            while mesh.idle(node.id) > 0 {
                if is_taken {
                    assert!(mesh.take(true, |_| true).is_none());
                } else {
                    mesh.close_unneeded(|_| Some(9), opened + Duration::from_secs(4));
                    tokio::task::yield_now().await;
                }
            }
            assert_eq!(node.idle_life.limit(Instant::now()), Some(Duration::from_secs(2)), "{is_taken}");
        }
    }
}
