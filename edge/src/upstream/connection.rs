//! Connections to endpoints, used for one request at a time.
//!
//! A hyper connection is two halves: a handle that takes requests and a future that moves the bytes.
//! Usually the future is a task of its own, and each request then costs two wake-ups to cross over and
//! back. Here both halves travel together: whoever holds the connection polls the future itself, in its
//! own task, while it waits for the response and while it reads the body.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use super::Endpoint;
use crate::{
    body::{Progress, RequestBody},
    config,
    deadline::Deadline,
    error::{Error, Kind, Retry},
    gather::Gather,
};

/// What a connection holds at most of a message, a response head included. Bytes.
const BUFFER: usize = 64 * 1024;
/// How often a request that waits for its response looks whether its endpoint was found down.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Idle TCP connections are probed after this, so that a firewall or a mesh does not forget them.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One connection to an endpoint.
#[derive(Debug)]
pub struct Connection {
    /// Takes the next request.
    sender: http1::SendRequest<RequestBody>,
    /// Moves the bytes.
    driver: http1::Connection<TokioIo<Gather>, RequestBody>,
    /// The driver has no more to move and must not be polled again.
    ended: bool,
    /// Bounds the wait for a response head, then the pauses in the body.
    deadline: Deadline,
    /// Time-outs and bounds of its pool, as they were when it was opened.
    pool: Arc<config::Pool>,
    opened: Instant,
    idle_since: Instant,
    /// How far the body of the request under way has come.
    upload: Option<Rc<Progress>>,
    /// It has carried a request before: a failure may mean no more than that it was closed while idle.
    reused: bool,
    slot: Slot,
}

/// A request that did not get its response head.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: Error,
    /// The request, if the endpoint has seen nothing of it.
    pub unsent: Option<Request<RequestBody>>,
}

/// One of the connections that an endpoint may have; given back when dropped.
#[derive(Debug)]
pub struct Slot(Arc<Endpoint>);

impl Slot {
    /// Takes one unless `max` are taken.
    #[must_use]
    pub fn take(endpoint: &Arc<Endpoint>, max: usize) -> Option<Self> {
        let more = |open: usize| (open < max).then_some(open + 1);
        endpoint.connections.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Self(Arc::clone(endpoint)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// A connection on its way, counted as under way so that a slow endpoint looks as busy as it is.
#[derive(Debug)]
pub struct Connecting {
    slot: Slot,
    in_flight: InFlight,
}

impl Connecting {
    /// About to connect to the endpoint that `slot` belongs to, for this worker.
    #[must_use]
    pub fn new(slot: Slot, worker: usize) -> Self {
        let in_flight = InFlight::new(&slot.0, worker);
        Self { slot, in_flight }
    }

    /// Where it goes.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.slot.0
    }

    /// Connects.
    ///
    /// # Errors
    /// [`Kind::Connect`] or [`Kind::ConnectTimeout`]; any request may go elsewhere then.
    pub async fn open(self, pool: &Arc<config::Pool>) -> Result<Box<Connection>, Error> {
        let Self { slot, in_flight: _counted } = self;
        Connection::open(slot, pool).await
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
    async fn open(slot: Slot, pool: &Arc<config::Pool>) -> Result<Box<Self>, Error> {
        let connecting = timeout(pool.timeouts.connect, TcpStream::connect(slot.0.address));
        let stream = match connecting.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Error::because(Kind::Connect, Retry::Unsent, error)),
            Err(_elapsed) => return Err(Error::new(Kind::ConnectTimeout, Retry::Unsent)),
        };
        set_options(&stream).map_err(|error| Error::because(Kind::Connect, Retry::Unsent, error))?;
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(TokioIo::new(Gather(stream)))
            .await
            .map_err(|error| Error::because(Kind::Connect, Retry::Unsent, error))?;
        let now = Instant::now();
        Ok(Box::new(Self {
            sender,
            driver,
            ended: false,
            deadline: Deadline::new(now),
            pool: Arc::clone(pool),
            opened: now,
            idle_since: now,
            upload: None,
            reused: false,
            slot,
        }))
    }

    /// Where it goes.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.slot.0
    }

    /// Whether it has carried a request before this one.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Sends a request and waits for the head of the response.
    ///
    /// `abandon` is asked about once a second whether to give up because the endpoint was found down.
    ///
    /// # Errors
    /// What went wrong and, if the endpoint has seen nothing of the request, the request.
    pub async fn exchange(
        &mut self,
        request: Request<RequestBody>,
        abandon: impl Fn(&Endpoint) -> bool,
    ) -> Result<Response<Incoming>, Box<Failed>> {
        self.upload = request.body().progress();
        let progress = self.upload.clone();
        let allowed = self.pool.timeouts.response;
        let mut since = Instant::now();
        self.deadline.set(since + allowed.min(LOOK_AGAIN));
        let mut response = pin!(self.sender.try_send_request(request));
        std::future::poll_fn(|cx| {
            // The future first, so that what it finds is there when the handle is asked.
            let ended = drive(&mut self.driver, &mut self.ended, cx).is_ready();
            if let Poll::Ready(outcome) = response.as_mut().poll(cx) {
                self.deadline.set(Instant::now() + self.pool.timeouts.body_idle);
                return Poll::Ready(outcome.map_err(|failed| failure(failed, progress.as_deref())));
            }
            if ended {
                let error = Error::new(Kind::UpstreamClosed, Retry::IfIdempotent);
                return Poll::Ready(Err(Box::new(Failed { error, unsent: None })));
            }
            while self.deadline.poll(cx).is_ready() {
                let now = Instant::now();
                if let Some(progress) = progress.as_deref() {
                    // The clock starts with the last byte that the endpoint could have taken, or a long
                    // upload could not be; while the client is awaited, its own clock runs.
                    since = since.max(if progress.awaited.get() { now } else { progress.last.get() });
                }
                if now >= since + allowed {
                    // An endpoint that is slow but not down would be as slow a second time.
                    let error = Error::new(Kind::ResponseTimeout, Retry::Never);
                    return Poll::Ready(Err(Box::new(Failed { error, unsent: None })));
                }
                if abandon(&self.slot.0) {
                    let error =
                        Error::because(Kind::ResponseTimeout, Retry::IfIdempotent, "the endpoint was found down");
                    return Poll::Ready(Err(Box::new(Failed { error, unsent: None })));
                }
                self.deadline.set((now + LOOK_AGAIN).min(since + allowed));
            }
            Poll::Pending
        })
        .await
    }

    /// After 101: the bare stream, what came behind the head, and the place it takes at its endpoint.
    /// `None` if HTTP goes on instead.
    #[must_use]
    pub fn into_stream(mut self) -> Option<(TcpStream, Bytes, Slot)> {
        if self.drive(&mut unwoken()).is_pending() {
            return None;
        }
        let parts = self.driver.into_parts();
        Some((parts.io.into_inner().0, parts.read_buf, self.slot))
    }

    /// Whether another request can be sent on it. Notices that the other side has closed it.
    /// Wakes nobody: whoever waits for the connection polls it again.
    pub fn is_open(&mut self) -> bool {
        self.drive(&mut unwoken()).is_pending() && self.sender.is_ready()
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
    pub fn rest(&mut self, now: Instant) {
        self.reused = true;
        self.idle_since = now;
        self.upload = None;
    }

    /// Why the body of the request under way failed, if it did: the client's doing, whatever became of
    /// the connection.
    #[must_use]
    pub fn upload_failure(&self) -> Option<Kind> {
        self.upload.as_ref().and_then(|progress| *progress.failure.borrow())
    }

    /// The settings of its pool.
    #[must_use]
    pub fn pool(&self) -> &config::Pool {
        &self.pool
    }

    /// When patience with the endpoint ends.
    pub fn set_deadline(&mut self, at: Instant) {
        self.deadline.set(at);
    }

    /// Ready when patience with the endpoint has ended.
    pub fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.deadline.poll(cx)
    }

    /// Moves bytes. Ready when there are no more to move.
    pub fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        drive(&mut self.driver, &mut self.ended, cx)
    }
}

type Driver = http1::Connection<TokioIo<Gather>, RequestBody>;

/// Moves bytes. Ready when there are no more to move; what went wrong is told by the sender or the body.
fn drive(driver: &mut Driver, ended: &mut bool, cx: &mut Context<'_>) -> Poll<()> {
    if !*ended {
        *ended = Pin::new(driver).poll(cx).is_ready();
    }
    if *ended { Poll::Ready(()) } else { Poll::Pending }
}

/// For polling what nobody waits for.
fn unwoken() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn failure(mut failed: TrySendError<Request<RequestBody>>, progress: Option<&Progress>) -> Box<Failed> {
    let unsent = failed.take_message();
    let error = failed.into_error();
    if let Some(kind) = progress.and_then(|progress| *progress.failure.borrow()) {
        return Box::new(Failed { error: Error::because(kind, Retry::Never, error), unsent: None });
    }
    let retry = if unsent.is_some() { Retry::Unsent } else { Retry::IfIdempotent };
    let kind = if error.is_parse() { Kind::UpstreamInvalid } else { Kind::UpstreamClosed };
    Box::new(Failed { error: Error::because(kind, retry, error), unsent })
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE))
}
