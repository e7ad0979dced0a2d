//! The body of a response, which hyper sends.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::{AbortHandle, spawn_local};

use super::{piece::Piece, relay::Relay};
use crate::{error::Error, proxy::request_record::RequestRecord};

/// The body of a response.
#[derive(Debug)]
pub enum ResponseBody {
    /// From an endpoint.
    Upstream(SharedRelay),
    /// From the edge itself.
    Local(Bytes, Box<RequestRecord>),
    /// At its end.
    Done,
}

impl ResponseBody {
    /// The body of an endpoint's response, which may be empty.
    pub(super) fn relaying(mut relay: Relay) -> Self {
        if relay.is_complete() {
            relay.finish();
            Self::Done
        } else {
            Self::Upstream(SharedRelay::new(relay))
        }
    }
}

impl Body for ResponseBody {
    type Data = Piece;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, Error>>> {
        match &mut *self {
            Self::Upstream(shared) => {
                let mut relay = shared.relay.borrow_mut();
                let polled = relay.poll_frame(cx);
                relay.record.mark_pending(polled.is_ready());
                let frame = ready!(polled);
                match &frame {
                    Ok(Some(frame)) if frame.is_data() && !relay.is_complete() => {}
                    Ok(_) => {
                        // Before the client has the last byte: its next request may need the connection.
                        relay.finish();
                        drop(relay);
                        *self = Self::Done;
                    }
                    Err(error) => {
                        relay.record.fail(error.kind);
                        drop(relay);
                        *self = Self::Done;
                    }
                }
                Poll::Ready(frame.transpose())
            }
            Self::Local(text, record) => {
                let text = std::mem::take(text);
                record.add_response_bytes(text.len() as u64);
                *self = Self::Done;
                Poll::Ready(Some(Ok(Frame::data(text.into()))))
            }
            Self::Done => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Done)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(shared) => shared.relay.borrow().left().map_or_else(SizeHint::default, SizeHint::with_exact),
            Self::Local(text, _) => SizeHint::with_exact(text.len() as u64),
            Self::Done => SizeHint::with_exact(0),
        }
    }
}

/// A relay, and the task that sends the rest of the request's body if the response began before its end. hyper does not
/// poll the response while the client grants no window for it, and a client may grant one only after its whole body has
/// been read.
#[derive(Debug)]
pub struct SharedRelay {
    relay: Rc<RefCell<Relay>>,
    upload: Option<AbortHandle>,
}

impl SharedRelay {
    fn new(relay: Relay) -> Self {
        let done = relay.is_upload_done();
        let relay = Rc::new(RefCell::new(relay));
        let upload = (!done).then(|| {
            let relay = Rc::clone(&relay);
            spawn_local(poll_fn(move |cx| relay.borrow_mut().poll_upload(cx))).abort_handle()
        });
        Self { relay, upload }
    }
}

impl Drop for SharedRelay {
    fn drop(&mut self) {
        if let Some(task) = &self.upload {
            task.abort();
        }
    }
}
