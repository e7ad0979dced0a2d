//! A connection to an endpoint: its stream, its read buffer, and the state of the response under way.

use std::{io, sync::Arc, time::Duration};

use socket2::SockRef;
use tokio::{net::TcpStream, time::Instant};

use super::permit::{ConnectionPermit, IdleStream, Place};
use crate::{
    config,
    io::{
        buffer::{Buffer, BufferPool},
        deadline::Deadline,
    },
    protocol::h1::{body::Reader, framing::Framing},
    upstream::{
        Endpoint,
        mesh::link::{Known, Link},
        queue::Queue,
    },
};

/// One connection to an endpoint.
#[derive(Debug)]
pub struct Connection {
    /// The stream; [`BodyWriter`](super::body_writer::BodyWriter) writes requests to it.
    pub stream: TcpStream,
    pub(super) incoming: Buffer,
    /// How many bytes of `incoming` were searched for the end of a head.
    pub(super) scanned: usize,
    /// The number of interim responses to the request under way.
    pub(super) interim: u8,
    /// The position in the body of the response.
    pub(super) body: Reader,
    /// The endpoint accepts another request after this one.
    pub(super) keeps_alive: bool,
    /// A response announced that what it leads to drains.
    pub(super) announced_drain: bool,
    /// See [`disable_reuse`](Self::disable_reuse).
    pub(super) reuse_disabled: bool,
    /// See [`wait_for_room`](Self::wait_for_room).
    waits_for_room: bool,
    /// The longest pause in the body of the response.
    pub(super) body_idle: Duration,
    /// Bounds the wait for a response head, then the pauses in the body.
    pub deadline: Deadline,
    /// The settings of the pool at the time the connection was opened.
    pub(super) pool: Arc<config::Pool>,
    pub(super) opened: Instant,
    pub(super) idle_since: Instant,
    /// When its last exchange ended, or it was opened. Behind a mesh that may be a question for the health path, which
    /// is no use of the connection, but restarts the endpoint's own timeout.
    pub(super) quiet_since: Instant,
    /// When it was last known to be open while it was idle.
    pub(super) seen_open: Instant,
    /// Its request was sent completely, and the head of the response is awaited.
    pub(super) awaits_head: bool,
    /// It has carried a request before, so a failure may only mean that the endpoint closed it while it was idle.
    pub(super) reused: bool,
    /// Behind a mesh: which replica it leads to.
    pub(super) link: Option<Link>,
    /// Behind a mesh: what it was known for at the worker that it came from, until it has a link.
    pub(super) known: Option<Known>,
    permit: ConnectionPermit,
}

impl Connection {
    /// A connection that was just opened.
    pub(super) fn new(stream: TcpStream, permit: ConnectionPermit, pool: Arc<config::Pool>, now: Instant) -> Self {
        Self {
            stream,
            incoming: Buffer::default(),
            scanned: 0,
            interim: 0,
            body: Reader::new(Framing::None),
            keeps_alive: true,
            announced_drain: false,
            reuse_disabled: false,
            waits_for_room: false,
            body_idle: pool.timeouts.body_idle,
            deadline: Deadline::new(now),
            pool,
            opened: now,
            idle_since: now,
            quiet_since: now,
            seen_open: now,
            awaits_head: false,
            reused: false,
            link: None,
            known: None,
            permit,
        }
    }

    /// The endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        self.permit.endpoint()
    }

    /// The requests that wait for a connection to an endpoint of its pool.
    #[must_use]
    pub fn queue(&self) -> &Arc<Queue<Place>> {
        self.permit.queue()
    }

    /// The settings of its pool.
    #[must_use]
    pub fn pool(&self) -> &config::Pool {
        &self.pool
    }

    /// Restarts the timeout for pauses in the response body, because bytes came or were passed to the client.
    /// Passing counts because the client may have stalled the edge until then.
    pub fn note_progress(&mut self, now: Instant) {
        self.deadline.set(now + self.body_idle);
    }

    /// Notes that the request was sent completely, so that the endpoint owes an answer to this worker.
    pub fn note_sent(&mut self, worker: usize, now: Instant) {
        if !std::mem::replace(&mut self.awaits_head, true) {
            self.endpoint().note_sent(worker, now);
        }
    }

    /// Notes that the head of the response came.
    pub fn note_answered(&mut self, worker: usize, now: Instant) {
        self.endpoint().note_answered(worker, now);
        self.stop_waiting(worker);
    }

    /// Notes that no answer is awaited any more.
    pub(super) fn stop_waiting(&mut self, worker: usize) {
        if std::mem::take(&mut self.awaits_head) {
            self.endpoint().stats.of(worker).silence.ended();
        }
    }

    /// Ends the patience for a body without a declared length, because the client may be gone without a sign of it.
    pub fn limit_pause(&mut self, now: Instant) {
        if self.body_idle > self.pool.timeouts.body_idle {
            self.body_idle = self.pool.timeouts.body_idle;
            self.note_progress(now);
        }
    }

    /// Sets whether data sent from now on may wait for room in the endpoint's receive window: a body or a tunnel may,
    /// since each has a timeout of its own. A head never does, so without other data the kernel must give up when the
    /// endpoint's host acknowledges nothing for `unacknowledged`; tcp(7)'s `TCP_USER_TIMEOUT` treats both the same.
    pub fn wait_for_room(&mut self, may: bool) {
        if may != self.waits_for_room {
            let bound = (!may).then_some(self.pool.timeouts.unacknowledged);
            // If the kernel refuses, the other timeouts remain.
            self.waits_for_room = SockRef::from(&self.stream).set_tcp_user_timeout(bound).map_or(!may, |()| may);
        }
    }

    /// Takes it apart after a 101: the bare stream, the bytes behind the head, and the permit.
    #[must_use]
    pub fn into_stream(mut self) -> (TcpStream, Buffer, ConnectionPermit) {
        self.wait_for_room(true);
        (self.stream, self.incoming, self.permit)
    }

    /// Takes an idle connection out of this worker's runtime, so that a request of any worker can use it.
    ///
    /// # Errors
    /// The runtime cannot release it. It is closed then.
    pub(super) fn into_place(self) -> io::Result<Place> {
        let Self { stream, permit, pool, opened, idle_since, quiet_since, waits_for_room, link, .. } = self;
        let stream = stream.into_std()?;
        let known = link.as_ref().map(Link::known);
        let idle = IdleStream { stream, pool, opened, idle_since, quiet_since, waits_for_room, known };
        Ok(Place { permit, idle: Some(idle) })
    }

    /// Takes over the idle connection of a place, for this worker's runtime.
    ///
    /// # Errors
    /// There is no connection, or the endpoint has closed it. The permit is for another one.
    pub fn from_place(place: Place, now: Instant) -> Result<Box<Self>, ConnectionPermit> {
        let Place { permit, idle } = place;
        let Some(idle) = idle else { return Err(permit) };
        let IdleStream { stream, pool, opened, idle_since, quiet_since, waits_for_room, known } = idle;
        let Ok(stream) = TcpStream::from_std(stream) else { return Err(permit) };
        let connection = Self::new(stream, permit, pool, now);
        let (seen_open, reused) = (quiet_since, true);
        let connection =
            Self { opened, idle_since, quiet_since, seen_open, waits_for_room, known, reused, ..connection };
        // This runtime knows nothing of it yet.
        let is_usable = connection.is_open_in_kernel() && connection.endpoint().allows_reuse();
        if is_usable { Ok(Box::new(connection)) } else { Err(connection.permit) }
    }

    /// Closes it, and returns its permit for another one.
    #[must_use]
    pub fn into_permit(self) -> ConnectionPermit {
        self.permit
    }

    /// Returns its memory if all bytes are consumed.
    pub fn release_memory(&mut self, buffers: &BufferPool) {
        self.incoming.release(buffers);
    }

    /// Returns its memory, whatever it contains.
    pub fn discard(&mut self, buffers: &BufferPool) {
        self.incoming.consume(usize::MAX);
        self.incoming.release(buffers);
    }
}
