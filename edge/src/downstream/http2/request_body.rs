//! The body of a request, as hyper receives it.

use std::{
    error::Error as StdError,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::TcpStream;

use crate::{
    error::{Error, Kind, Retry},
    protocol::{
        h1::head,
        h2::{
            fault::{Answer, Fault},
            mark::{Mark, Token},
        },
        headers::{is_trailer, write_field},
    },
    upstream::connection::body_source::BodySource,
    worker::{client_activity::ClientActivity, uploads::Uploads},
};

/// How much a client may send on a stream before the endpoint accepts it, in bytes.
pub const STREAM_WINDOW: u32 = 128 * 1024;
/// How much a client may send on all streams of a connection before their endpoints accept it, in bytes.
pub const CONNECTION_WINDOW: u32 = 512 * 1024;

/// The body of a request.
#[derive(Debug)]
pub(super) struct RequestBody {
    incoming: Incoming,
    /// Counts what the client has sent ahead, until the body ends.
    upload: Option<Upload>,
    /// Data that arrived and was not used.
    data: Bytes,
    trailers: Option<HeaderMap>,
    /// Of the marks in trailers.
    token: Rc<Token>,
    /// What is wrong with the trailers.
    fault: Option<Fault>,
}

impl RequestBody {
    /// The body of a request, which began as this upload.
    pub(super) fn new(incoming: Incoming, upload: Option<Upload>, token: Rc<Token>) -> Self {
        Self { incoming, upload, data: Bytes::new(), trailers: None, token, fault: None }
    }

    /// What is wrong with the trailers, if reading the body failed because of them.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }
}

/// A body under way, until it ends or its request does.
#[derive(Debug)]
pub struct Upload(Rc<ClientActivity>);

impl Upload {
    /// Begins the upload of a request whose head was just read, unless it has no body.
    #[must_use]
    pub fn of(incoming: &Incoming, activity: &Rc<ClientActivity>) -> Option<Self> {
        if incoming.is_end_stream() {
            return None;
        }
        activity.update_uploads(Uploads::begun);
        Some(Self(Rc::clone(activity)))
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.update_uploads(Uploads::ended);
    }
}

impl BodySource for RequestBody {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<&[u8]>, Error>> {
        while self.data.is_empty() {
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                None => {
                    self.upload = None;
                    return Poll::Ready(Ok(None));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.data = data,
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok();
                        let mark = self.trailers.as_mut().and_then(|trailers| self.token.take(trailers));
                        if let Some(Mark::Refuse(fault)) = mark {
                            self.fault = Some(fault);
                            return Poll::Ready(Err(refusal(fault.answer())));
                        }
                    }
                },
                Some(Err(error)) => {
                    return Poll::Ready(Err(Error::because(blame(&error), Retry::Never, error)));
                }
            }
        }
        Poll::Ready(Ok(Some(&self.data)))
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.data.len());
        self.data.advance(count);
        if let Some(Upload(activity)) = &self.upload {
            activity.update_uploads(|uploads| uploads.taken(count));
        }
    }

    fn socket(&mut self) -> Option<&TcpStream> {
        None
    }

    fn spliced(&mut self, _count: usize) {}

    fn trailers(&mut self) -> Vec<u8> {
        let mut lines = Vec::new();
        for (name, value) in self.trailers.take().iter().flatten() {
            if is_trailer(name.as_str()) {
                write_field(&mut lines, name.as_str(), value.as_bytes());
            }
        }
        lines
    }

    fn interim(&mut self, _head: &head::Response<'_>) {
        // h2 could send one (`SendResponse::send_informational`), but hyper's server gives no access to it.
    }

    fn poll_interim(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_disconnected(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        // hyper drops the whole request when its client disconnects.
        Poll::Pending
    }
}

/// Returns the error of a body with malformed trailers. hyper finds the reason of a reset in it.
fn refusal(answer: Answer) -> Error {
    match answer {
        Answer::Reply(kind) => Error::new(kind, Retry::Never),
        Answer::Reset => Error::because(Kind::BadRequest, Retry::Never, h2::Error::from(h2::Reason::PROTOCOL_ERROR)),
    }
}

/// Returns whether the client disconnected or sent a malformed body.
fn blame(error: &hyper::Error) -> Kind {
    let cause = StdError::source(error).and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    match cause {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Kind::BadRequest,
        _ => Kind::ClientGone,
    }
}
