//! A connection to an endpoint, used for one request at a time.
//!
//! Nobody but the request that uses it ever polls it: there is no task beside the client's, and so no
//! wake-up to cross over and back.

pub mod body_writer;
pub mod pool;

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use http::Version;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::TcpStream,
    time::{Duration, Instant, timeout},
};

use super::Endpoint;
use crate::{
    config,
    error::{Error, Kind, Retry},
    io::{
        buffer::{Buffer, BufferPool, SIZE},
        deadline::Deadline,
        splice::Pipe,
    },
    protocol::{
        h1::{
            body::Reader,
            chunked::BodyEvent,
            framing::Framing,
            head::{self, is_complete},
        },
        headers::response::HeaderSummary,
    },
};

/// The longest response head. Bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Interim answers to one request.
const MAX_INTERIM: u8 = 32;
/// Idle TCP connections are probed after this, so that a firewall or a mesh does not forget them.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One connection to an endpoint.
#[derive(Debug)]
pub struct Connection {
    /// To the endpoint; requests are written to it by [`body_writer`].
    pub stream: TcpStream,
    incoming: Buffer,
    /// Of `incoming`, what was looked through for the end of a head.
    looked: usize,
    /// Interim answers to the request under way.
    interim: u8,
    /// Of the response.
    body: Reader,
    /// The endpoint takes another request behind this one.
    keeps_alive: bool,
    /// Of the request under way not all could be written.
    spoiled: bool,
    /// See [`Connection::wait_for_room`].
    waits_for_room: bool,
    /// Bounds the wait for a response head, then the pauses in the body.
    pub deadline: Deadline,
    /// Time-outs and bounds of its pool, as they were when it was opened.
    pool: Arc<config::Pool>,
    opened: Instant,
    idle_since: Instant,
    /// It has carried a request before: a failure may mean no more than that it was closed while idle.
    reused: bool,
    permit: ConnectionPermit,
}

/// The head of a response, while it is looked at.
#[derive(Debug)]
pub struct Head<'a> {
    /// All of it.
    pub bytes: &'a [u8],
    /// Its parts, which borrow from `bytes`.
    pub parts: &'a head::Response<'a>,
    /// What its fields say to a proxy.
    pub summary: &'a HeaderSummary<'a>,
    /// How the body behind it ends.
    pub framing: Framing,
    /// No body comes, whatever the fields say of one: the answer to HEAD.
    pub to_head: bool,
}

impl Head<'_> {
    /// What the head for the client says of the body: a length may be 0 there, and an answer to HEAD has
    /// the length of what it leaves out. The end of this connection is not the end of the client's.
    #[must_use]
    pub fn told(&self) -> Framing {
        match self.framing {
            _ if is_bodiless(self.parts.status) => Framing::None,
            _ if self.to_head => self.summary.lengths.announced().map_or(Framing::None, Framing::Length),
            Framing::None => Framing::Length(0),
            Framing::Length(length) => Framing::Length(length),
            Framing::Chunked | Framing::Close => Framing::Chunked,
        }
    }
}

/// What one look for a head has found.
enum Look<T> {
    Seen(T),
    Interim,
    Incomplete,
}

/// Whether a response of this status never has a body (RFC 9110 sections 15.2 and 15.3.5, 15.4.5).
fn is_bodiless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// One of the connections that an endpoint may have; given back when dropped.
#[derive(Debug)]
pub struct ConnectionPermit(Arc<Endpoint>);

impl ConnectionPermit {
    /// Takes one unless `max` are taken.
    #[must_use]
    pub fn take(endpoint: &Arc<Endpoint>, max: usize) -> Option<Self> {
        let more = |open: usize| (open < max).then_some(open + 1);
        endpoint.connections.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Self(Arc::clone(endpoint)))
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// A connection on its way, counted as under way so that a slow endpoint looks as busy as it is.
#[derive(Debug)]
pub struct Connecting {
    permit: ConnectionPermit,
    in_flight: InFlight,
}

impl Connecting {
    /// About to connect to the endpoint that `permit` belongs to, for this worker.
    #[must_use]
    pub fn new(permit: ConnectionPermit, worker: usize) -> Self {
        let in_flight = InFlight::new(&permit.0, worker);
        Self { permit, in_flight }
    }

    /// Where it goes.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.permit.0
    }

    /// Connects.
    ///
    /// # Errors
    /// [`Kind::Connect`] or [`Kind::ConnectTimeout`]; any request may go elsewhere then.
    pub async fn open(self, pool: &Arc<config::Pool>) -> Result<Box<Connection>, Error> {
        let Self { permit, in_flight: _counted } = self;
        // Most requests open none: they are not to carry the place for it.
        Box::pin(Connection::open(permit, pool)).await
    }
}

/// Counts an attempt under way until dropped.
#[derive(Debug)]
pub struct InFlight {
    endpoint: Arc<Endpoint>,
    worker: usize,
}

impl InFlight {
    /// Counts it.
    #[must_use]
    pub fn new(endpoint: &Arc<Endpoint>, worker: usize) -> Self {
        endpoint.stats.of(worker).in_flight.add(1);
        Self { endpoint: Arc::clone(endpoint), worker }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint.stats.of(self.worker).in_flight.sub(1);
    }
}

impl Connection {
    async fn open(permit: ConnectionPermit, pool: &Arc<config::Pool>) -> Result<Box<Self>, Error> {
        let connecting = timeout(pool.timeouts.connect, TcpStream::connect(permit.0.address));
        let stream = match connecting.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Error::because(Kind::Connect, Retry::Unsent, error)),
            Err(_elapsed) => return Err(Error::new(Kind::ConnectTimeout, Retry::Unsent)),
        };
        set_options(&stream, pool.timeouts.unacknowledged)
            .map_err(|error| Error::because(Kind::Connect, Retry::Unsent, error))?;
        let now = Instant::now();
        Ok(Box::new(Self {
            stream,
            incoming: Buffer::default(),
            looked: 0,
            interim: 0,
            body: Reader::new(Framing::None),
            keeps_alive: true,
            spoiled: false,
            waits_for_room: false,
            deadline: Deadline::new(now),
            pool: Arc::clone(pool),
            opened: now,
            idle_since: now,
            reused: false,
            permit,
        }))
    }

    /// Where it goes.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.permit.0
    }

    /// Whether it has carried a request before this one.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// The settings of its pool.
    #[must_use]
    pub fn pool(&self) -> &config::Pool {
        &self.pool
    }

    /// Reads the head of the response and shows it to `look`. Interim answers are passed over, but for
    /// 101, which is the last of HTTP here.
    ///
    /// # Errors
    /// [`Kind::UpstreamClosed`], which another endpoint may make good if not one byte came, or
    /// [`Kind::UpstreamInvalid`].
    pub fn poll_head<T>(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &BufferPool,
        to_head: bool,
        look: &mut impl FnMut(&Head<'_>) -> T,
    ) -> Poll<Result<T, Error>> {
        loop {
            // The first look is at all there is; a head that comes in bits is looked at when its end is here.
            let here = self.incoming.data();
            if !here.is_empty() && (self.looked == 0 || is_complete(here, self.looked)) {
                self.looked = here.len();
                match self.look(to_head, look).map_err(|kind| Error::new(kind, Retry::Never))? {
                    Look::Seen(seen) => return Poll::Ready(Ok(seen)),
                    Look::Interim if self.interim < MAX_INTERIM => {
                        self.interim += 1;
                        continue;
                    }
                    Look::Interim => {
                        let why = "interim answers without end";
                        return Poll::Ready(Err(Error::because(Kind::UpstreamInvalid, Retry::Never, why)));
                    }
                    Look::Incomplete => {}
                }
            }
            self.looked = self.incoming.data().len();
            match ready!(self.incoming.poll_fill(cx, &mut self.stream, buffers, MAX_HEAD)) {
                Ok(1..) => {}
                Ok(0) if self.incoming.is_empty() => {
                    return Poll::Ready(Err(Error::new(Kind::UpstreamClosed, Retry::IfIdempotent)));
                }
                Ok(0) => return Poll::Ready(Err(Error::new(Kind::UpstreamClosed, Retry::Never))),
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                    return Poll::Ready(Err(Error::because(Kind::UpstreamInvalid, Retry::Never, "too long a head")));
                }
                Err(error) => {
                    let retry = if self.incoming.is_empty() { Retry::IfIdempotent } else { Retry::Never };
                    return Poll::Ready(Err(Error::because(Kind::UpstreamClosed, retry, error)));
                }
            }
        }
    }

    fn look<T>(&mut self, to_head: bool, look: &mut impl FnMut(&Head<'_>) -> T) -> Result<Look<T>, Kind> {
        let bytes = self.incoming.data();
        let seen = head::response(bytes, |parts| {
            if matches!(parts.status, 100 | 102..=199) {
                return Ok(None);
            }
            let summary = HeaderSummary::of(parts.fields)?;
            let bodiless = to_head || is_bodiless(parts.status);
            let framing = summary.lengths.of_response(bodiless, parts.version == Version::HTTP_11)?;
            let keeps_alive = summary.keeps_alive(parts.version) && framing != Framing::Close && parts.status != 101;
            let seen = look(&Head { bytes, parts, summary: &summary, framing, to_head });
            Ok(Some((seen, framing, keeps_alive)))
        })?;
        let Some((seen, length)) = seen else { return Ok(Look::Incomplete) };
        let seen = seen?;
        self.incoming.consume(length);
        self.looked = 0;
        let Some((seen, framing, keeps_alive)) = seen else { return Ok(Look::Interim) };
        self.body = Reader::new(framing);
        self.keeps_alive = keeps_alive;
        Ok(Look::Seen(seen))
    }

    /// What comes next of the response body; data stands in [`data`](Self::data) then. Reads no further.
    ///
    /// # Errors
    /// [`Kind::UpstreamInvalid`]
    pub fn next_piece(&mut self) -> Result<BodyEvent, Error> {
        let broken = |_| Error::because(Kind::UpstreamClosed, Retry::Never, "chunks that are none");
        self.body.next(&mut self.incoming).map_err(broken)
    }

    /// What was read and not used yet.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.incoming.data()
    }

    /// So many bytes of the body were used.
    pub fn taken(&mut self, count: usize, now: Instant) {
        self.body.taken(&mut self.incoming, count);
        self.moved(now);
    }

    /// Not all of the request could be written: no other may follow it.
    pub fn spoil(&mut self) {
        self.spoiled = true;
    }

    /// The response body.
    pub fn body(&mut self) -> &mut Reader {
        &mut self.body
    }

    /// Bytes of the response body that are still to come, if that is known.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.body.left()
    }

    /// Reads more of the body.
    ///
    /// # Errors
    /// [`Kind::UpstreamClosed`] when it ends too early, [`Kind::ResponseTimeout`] when the endpoint
    /// pauses for too long.
    pub fn poll_more(&mut self, cx: &mut Context<'_>, buffers: &BufferPool, now: Instant) -> Poll<Result<(), Error>> {
        match self.incoming.poll_fill(cx, &mut self.stream, buffers, SIZE) {
            Poll::Ready(Ok(0)) if self.body.end_of_stream() => Poll::Ready(Ok(())),
            polled => self.came(cx, polled, now).map_ok(|_count| ()),
        }
    }

    /// Takes in what comes next of the body by a pipe, for one that is empty.
    ///
    /// # Errors
    /// As [`poll_more`](Self::poll_more).
    pub fn poll_splice(&mut self, cx: &mut Context<'_>, pipe: &mut Pipe, now: Instant) -> Poll<Result<(), Error>> {
        let polled = pipe.poll_in(cx, &self.stream, self.body.left().unwrap_or_default());
        let count = ready!(self.came(cx, polled, now))?;
        self.body.passed(count as u64);
        Poll::Ready(Ok(()))
    }

    /// What it means that so much of the body came, or did not; 0 is too early an end.
    fn came(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
        now: Instant,
    ) -> Poll<Result<usize, Error>> {
        let Poll::Ready(outcome) = polled else {
            ready!(self.deadline.poll(cx));
            return Poll::Ready(Err(Error::new(Kind::ResponseTimeout, Retry::Never)));
        };
        match outcome {
            Ok(0) => Poll::Ready(Err(Error::new(Kind::UpstreamClosed, Retry::Never))),
            Ok(count) => {
                self.moved(now);
                Poll::Ready(Ok(count))
            }
            Err(error) => Poll::Ready(Err(Error::because(Kind::UpstreamClosed, Retry::Never, error))),
        }
    }

    /// Bytes came, or went on to the client. The endpoint's pauses count from here: before, it may have been
    /// the client who let the edge wait.
    pub fn moved(&mut self, now: Instant) {
        self.deadline.set(now + self.pool.timeouts.body_idle);
    }

    /// After 101: the bare stream, what came behind the head, and the place it takes at its endpoint.
    #[must_use]
    pub fn into_stream(mut self) -> (TcpStream, Buffer, ConnectionPermit) {
        self.wait_for_room(true);
        (self.stream, self.incoming, self.permit)
    }

    /// Whether another request can be sent on it once the response is complete.
    #[must_use]
    pub fn is_reusable(&self) -> bool {
        // Bytes behind the response belong to nothing that was asked.
        self.keeps_alive && !self.spoiled && self.body.is_done() && self.incoming.is_empty()
    }

    /// Whether the other side still holds it open, as far as the runtime has been told.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.stream.try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether it may carry more requests.
    #[must_use]
    pub fn is_young(&self, now: Instant) -> bool {
        now < self.opened + self.pool.timeouts.max_age
    }

    /// Whether it has been idle for too long.
    #[must_use]
    pub fn is_tired(&self, now: Instant) -> bool {
        now >= self.idle_since + self.pool.timeouts.idle
    }

    /// A request is complete; the next may come.
    pub fn rest(&mut self, now: Instant, buffers: &BufferPool) {
        self.reused = true;
        self.interim = 0;
        self.idle_since = now;
        self.incoming.rest(buffers);
    }

    /// Whether what is sent from now on may wait for room in the endpoint's window: a body or a tunnel, each of which
    /// has a time-out of its own. A head never does, so with nothing else to send the kernel is to give up when the
    /// endpoint's host does not acknowledge it for `unacknowledged`, which to tcp(7)'s `TCP_USER_TIMEOUT` is the same.
    pub fn wait_for_room(&mut self, may: bool) {
        if may != self.waits_for_room {
            let bound = (!may).then_some(self.pool.timeouts.unacknowledged);
            // Where the kernel refuses, the time-outs remain.
            self.waits_for_room = SockRef::from(&self.stream).set_tcp_user_timeout(bound).map_or(!may, |()| may);
        }
    }

    /// Its memory goes back, whatever is in it.
    pub fn discard(&mut self, buffers: &BufferPool) {
        self.incoming.consume(usize::MAX);
        self.incoming.rest(buffers);
    }
}

fn set_options(stream: &TcpStream, unacknowledged: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(unacknowledged))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE))
}
