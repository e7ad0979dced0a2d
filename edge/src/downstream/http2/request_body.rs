//! The body of a request, as h2 receives it, and the interim responses to it.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, Response, StatusCode};
use tokio::net::TcpStream;

use super::piece::Piece;

use crate::{
    error::{Error, Kind, Retry},
    protocol::{
        h1::head,
        h2::{
            fault::{Answer, Fault},
            mark::{Mark, Token},
        },
        headers::{is_trailer, response::map_interim, write_field},
    },
    upstream::connection::body_source::BodySource,
    worker::{client_activity::ClientActivity, uploads::Uploads},
};

/// How much a client may send on a stream before the endpoint accepts it, in bytes.
pub(super) const STREAM_WINDOW: u32 = 128 * 1024;
/// How much a client may send on all streams of a connection before their endpoints accept it, in bytes.
pub(super) const CONNECTION_WINDOW: u32 = 512 * 1024;

/// How many bytes the fields of all interim responses to one request may have. They are only hints, and h2 holds those
/// that a client does not read, so further ones are dropped.
const MAX_INTERIM: usize = 64 * 1024;
/// What each field, and each response, counts besides its name and value, in bytes (RFC 9113 section 6.5.2).
const FIELD_OVERHEAD: usize = 32;

/// The body of a request.
pub(super) struct RequestBody<'r> {
    incoming: RecvStream,
    /// Interim responses go there; the response itself has not begun.
    reply: &'r RefCell<SendResponse<Piece>>,
    /// Counts what the client has sent ahead, until the body ends.
    upload: Option<Upload>,
    /// Data that arrived and was not used.
    data: Bytes,
    trailers: Option<HeaderMap>,
    /// Of the marks in trailers.
    token: Rc<Token>,
    /// What is wrong with the trailers.
    fault: Option<Fault>,
    /// The client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
    awaits_continue: bool,
    /// The bytes of the interim responses so far.
    interim: usize,
    activity: Rc<ClientActivity>,
}

impl<'r> RequestBody<'r> {
    /// The body of a request, which began as this upload.
    pub(super) fn new(
        incoming: RecvStream,
        upload: Option<Upload>,
        reply: &'r RefCell<SendResponse<Piece>>,
        token: Rc<Token>,
        activity: Rc<ClientActivity>,
        awaits_continue: bool,
    ) -> Self {
        Self {
            incoming,
            reply,
            upload,
            data: Bytes::new(),
            trailers: None,
            token,
            fault: None,
            awaits_continue,
            interim: 0,
            activity,
        }
    }

    /// What is wrong with the trailers, if reading the body failed because of them.
    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    fn send_interim(&self, status: StatusCode, fields: HeaderMap) {
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        // Fails only for fields that HTTP/2 forbids. h2 does not check that the response has not begun.
        let _sent = self.reply.borrow_mut().send_informational(response);
    }

    /// Takes the trailers that have arrived.
    fn take_trailers(&mut self, trailers: Option<HeaderMap>) -> Result<(), Error> {
        self.trailers = trailers;
        match self.trailers.as_mut().and_then(|trailers| self.token.take(trailers)) {
            Some(Mark::Refuse(fault)) => {
                self.fault = Some(fault);
                Err(refusal(fault.answer()))
            }
            _ => Ok(()),
        }
    }
}

/// A body under way, until it ends or its request does.
#[derive(Debug)]
pub(super) struct Upload(Rc<ClientActivity>);

impl Upload {
    /// Begins the upload of a request whose head was just read, unless it has no body.
    #[must_use]
    pub(super) fn of(incoming: &RecvStream, activity: &Rc<ClientActivity>) -> Option<Self> {
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

impl BodySource for RequestBody<'_> {
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<&[u8]>, Error>> {
        while self.data.is_empty() {
            let polled = self.incoming.poll_data(cx);
            if polled.is_pending() && std::mem::take(&mut self.awaits_continue) {
                self.send_interim(StatusCode::CONTINUE, HeaderMap::new());
            }
            match ready!(polled) {
                Some(Ok(data)) => {
                    self.awaits_continue = false;
                    self.data = data;
                }
                Some(Err(error)) => return Poll::Ready(Err(Error::because(blame(&error), Retry::Never, error))),
                None => {
                    let trailers = match ready!(self.incoming.poll_trailers(cx)) {
                        Ok(trailers) => trailers,
                        Err(error) => return Poll::Ready(Err(Error::because(blame(&error), Retry::Never, error))),
                    };
                    self.take_trailers(trailers)?;
                    self.upload = None;
                    return Poll::Ready(Ok(None));
                }
            }
        }
        Poll::Ready(Ok(Some(&self.data)))
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.data.len());
        self.data.advance(count);
        // Fails only for more than was received.
        let _released = self.incoming.flow_control().release_capacity(count);
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

    fn interim(&mut self, head: &head::Response<'_>) {
        let Ok(status) = StatusCode::from_u16(head.status) else { return };
        // `100 Continue` concerns only the edge and the endpoint. HTTP/2 has no 101 (RFC 9113 section 8.6).
        if matches!(status, StatusCode::CONTINUE | StatusCode::SWITCHING_PROTOCOLS) || self.activity.is_blocked() {
            return;
        }
        let fields = map_interim(head);
        let size: usize = fields.iter().map(|(name, value)| name.as_str().len() + value.len() + FIELD_OVERHEAD).sum();
        self.interim = self.interim.saturating_add(size + FIELD_OVERHEAD);
        if self.interim <= MAX_INTERIM {
            self.send_interim(status, fields);
        }
    }

    fn poll_interim(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // h2 sends them with the connection's other frames.
        Poll::Ready(Ok(()))
    }

    fn poll_disconnected(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        // Whoever polls a request looks whether the client has reset its stream.
        Poll::Pending
    }
}

/// Returns the error of a body with malformed trailers. It contains the reason of a reset.
fn refusal(answer: Answer) -> Error {
    match answer {
        Answer::Reply(kind) => Error::new(kind, Retry::Never),
        Answer::Reset => Error::because(Kind::BadRequest, Retry::Never, h2::Error::from(h2::Reason::PROTOCOL_ERROR)),
    }
}

/// Returns whether the client disconnected or sent a malformed body, for which h2 has reset the stream.
fn blame(error: &h2::Error) -> Kind {
    if error.is_reset() && error.is_library() { Kind::BadRequest } else { Kind::ClientGone }
}
