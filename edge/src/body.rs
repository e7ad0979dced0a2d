//! Bodies on their way through, frame by frame, never held.

use std::{
    cell::{Cell, RefCell},
    error::Error as StdError,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    account::Account,
    error::{Error, Kind, Retry},
    upstream::idle::Lease,
};

/// A request body on its way to an endpoint, bounded in size and in the client's pauses.
#[derive(Debug)]
pub struct RequestBody {
    /// `None` for the empty body of a request that is sent anew.
    incoming: Option<Incoming>,
    /// Absent for an empty body, which is most of them: nothing to watch then.
    watch: Option<Watch>,
}

#[derive(Debug)]
struct Watch {
    /// Bytes that may still come.
    left: u64,
    /// Longest pause of the client.
    idle: Duration,
    /// Runs while the edge waits for the client.
    timer: Option<Pin<Box<Sleep>>>,
    progress: Rc<Progress>,
}

/// How far a request body has come, shared with whoever waits for the response to it.
#[derive(Debug)]
pub struct Progress {
    /// Bytes taken from the client.
    pub bytes: Cell<u64>,
    /// When the last of them came.
    pub last: Cell<Instant>,
    /// The body is complete, or has failed.
    pub done: Cell<bool>,
    /// The edge waits for the client, whose pauses are bounded apart; otherwise for the endpoint to
    /// take what came.
    pub awaited: Cell<bool>,
    /// What made the body fail, for the answer; the upstream connection only knows that it did.
    pub failure: RefCell<Option<Kind>>,
}

impl RequestBody {
    /// Wraps what comes from the client. `max` is the largest size in bytes, `idle` the longest pause.
    #[must_use]
    pub fn new(incoming: Incoming, max: Option<u64>, idle: Duration, now: Instant) -> Self {
        let watch = (!incoming.is_end_stream()).then(|| Watch {
            left: max.unwrap_or(u64::MAX),
            idle,
            timer: None,
            progress: Rc::new(Progress {
                bytes: Cell::new(0),
                last: Cell::new(now),
                done: Cell::new(false),
                awaited: Cell::new(false),
                failure: RefCell::new(None),
            }),
        });
        Self { incoming: Some(incoming), watch }
    }

    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self { incoming: None, watch: None }
    }

    /// How far it has come; `None` for an empty body.
    #[must_use]
    pub fn progress(&self) -> Option<Rc<Progress>> {
        self.watch.as_ref().map(|watch| Rc::clone(&watch.progress))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let (Some(incoming), Some(watch)) = (&mut this.incoming, &mut this.watch) else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(cx) else {
            return watch.poll_pause(cx);
        };
        watch.timer = None;
        watch.progress.awaited.set(false);
        let outcome = match frame {
            Some(Ok(frame)) => watch.take(frame).map(Some),
            Some(Err(error)) => Err(Error::because(blame(&error), Retry::Never, error)),
            None => Ok(None),
        };
        match outcome {
            Ok(Some(frame)) => {
                // Nothing is asked for behind the trailers.
                watch.progress.done.set(frame.is_trailers() || incoming.is_end_stream());
                Poll::Ready(Some(Ok(frame)))
            }
            Ok(None) => {
                watch.progress.done.set(true);
                Poll::Ready(None)
            }
            Err(error) => Poll::Ready(Some(Err(watch.fail(error)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Watch {
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.progress.awaited.set(true);
        let idle = self.idle;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + idle)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(self.fail(Error::new(Kind::BodyTimeout, Retry::Never)))))
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.left = self.left.checked_sub(length).ok_or_else(|| Error::new(Kind::BodyTooLarge, Retry::Never))?;
        self.progress.bytes.set(self.progress.bytes.get().saturating_add(length));
        self.progress.last.set(Instant::now());
        Ok(frame)
    }

    fn fail(&self, error: Error) -> Error {
        self.progress.done.set(true);
        *self.progress.failure.borrow_mut() = Some(error.kind);
        error
    }
}

/// Whether a client that spoils its body has gone, or has sent chunks that are none.
fn blame(error: &hyper::Error) -> Kind {
    let cause = StdError::source(error).and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    match cause {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Kind::BadRequest,
        _ => Kind::ClientGone,
    }
}

/// An answer on its way to the client: an endpoint's, or one of the edge's own.
#[derive(Debug)]
pub struct ResponseBody {
    source: Source,
    /// Tells of the request when it ends, however it ends. `None` if the request outlives its answer.
    account: Option<Account>,
}

#[derive(Debug)]
enum Source {
    /// From an endpoint; the connection goes back to the idle ones with the last byte.
    Upstream {
        incoming: Incoming,
        lease: Lease,
    },
    /// The rest of it is not needed, or there never was any.
    Done,
    Own(Full<Bytes>),
}

impl ResponseBody {
    /// The edge's own words.
    #[must_use]
    pub fn own(body: Full<Bytes>, account: Account) -> Self {
        Self { source: Source::Own(body), account: Some(account) }
    }

    /// The head is all there is, as with 101: the request goes on without it.
    #[must_use]
    pub fn none() -> Self {
        Self { source: Source::Done, account: None }
    }

    /// An endpoint's answer, read from the connection it came on.
    #[must_use]
    pub fn upstream(incoming: Incoming, lease: Lease, account: Account) -> Self {
        let mut source = Source::Upstream { incoming, lease };
        if let Source::Upstream { incoming, lease } = &mut source
            && incoming.is_end_stream()
        {
            lease.finish();
            source = Source::Done;
        }
        Self { source, account: Some(account) }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let frame = match &mut this.source {
            Source::Upstream { incoming, lease } => {
                let polled = lease.poll_body(incoming, cx);
                if let Some(account) = &this.account {
                    account.owe(polled.is_ready());
                }
                let frame = ready!(polled);
                let ended = match &frame {
                    Some(Ok(_)) => incoming.is_end_stream(),
                    Some(Err(error)) => {
                        if let Some(account) = &mut this.account {
                            account.fail(error.kind);
                        }
                        true
                    }
                    None => true,
                };
                if ended {
                    // Given back before the client has the last byte: the next request may need it.
                    lease.finish();
                    this.source = Source::Done;
                }
                frame
            }
            Source::Own(body) => {
                ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(|never| match never {}))
            }
            Source::Done => None,
        };
        if let (Some(account), Some(Ok(frame))) = (&mut this.account, &frame) {
            account.sent(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Upstream { incoming, .. } => incoming.is_end_stream(),
            Source::Own(body) => body.is_end_stream(),
            Source::Done => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Upstream { incoming, .. } => incoming.size_hint(),
            Source::Own(body) => body.size_hint(),
            Source::Done => SizeHint::with_exact(0),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let (Source::Upstream { .. }, Some(account)) = (&self.source, &mut self.account) {
            account.fail(Kind::ClientGone);
        }
    }
}

/// Whether a body of the announced length is too large; one without a length is found out on the way.
#[must_use]
pub fn announced_too_large(headers: &HeaderMap, max: Option<u64>) -> bool {
    let announced =
        headers.get(http::header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    matches!((announced, max), (Some(announced), Some(max)) if announced > max)
}
