//! One attempt at a request: sends it on a connection and waits for the head of the response.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    error::{Error, Kind, Retry},
    io::memory::Held,
    protocol::h1::head,
    proxy::request::never,
    upstream::connection::{
        Connection, ResponseHead,
        body_source::BodySource,
        body_writer::{BodyWriter, WriteError},
    },
    worker::Worker,
};

/// How long a request waits for its response before it asks for a check of its endpoint, and how often it then looks
/// whether the endpoint is known to be down.
const DOWN_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How often it looks while the outcome of that check is due, until [`LOOK_OFTEN`].
const DOWN_CHECK_SOON: Duration = Duration::from_millis(250);

/// How long after it was sent a request looks every [`DOWN_CHECK_SOON`]. Long polls, of which there may be thousands,
/// then look less often.
const LOOK_OFTEN: Duration = Duration::from_secs(4);

/// One attempt at a request.
#[derive(Debug)]
pub(super) struct Exchange<'e> {
    worker: &'e Worker,
    connection: &'e mut Connection,
    body: &'e mut BodyWriter,
    to_head: bool,
    /// Interim responses are passed on: of two exchanges, only those of the first.
    passes_interim: bool,
    began: Instant,
    /// When the whole request began, and how long it may take, if that is limited.
    whole: Option<(Instant, Duration)>,
}

/// Why an attempt might be given up in favour of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The checks of the endpoint, or of the replica behind the connection, say that it does not answer.
    Down,
    /// The time of one attempt is over.
    Late,
}

/// What happens during an attempt.
pub(super) trait Attempt<T> {
    /// Decides whether an attempt is given up. `is_whole` says whether the request can be sent again from its start.
    fn gives_up(&mut self, connection: &Connection, reason: Reason, is_whole: bool) -> bool;

    /// Takes the head of the response.
    fn on_head(&mut self, head: &ResponseHead<'_>, is_whole: bool) -> T;
}

impl<'e> Exchange<'e> {
    /// Begins an attempt. `whole` limits the time of the whole request.
    pub(super) fn begin(
        worker: &'e Worker,
        connection: &'e mut Connection,
        body: &'e mut BodyWriter,
        to_head: bool,
        whole: Option<(Instant, Duration)>,
    ) -> Self {
        let began = worker.clock.now();
        connection.wait_for_room(body.has_body());
        let timeouts = &connection.pool().timeouts;
        let mut first = began + timeouts.response.min(DOWN_CHECK_INTERVAL);
        if let Some(one_try) = timeouts.one_try {
            first = first.min(began + one_try);
        }
        if let Some((since, allowed)) = whole {
            first = first.min(since + allowed).max(began);
        }
        connection.deadline.set(first);
        Self { worker, connection, body, to_head, passes_interim: true, began, whole }
    }

    /// The connection.
    pub(super) fn connection(&self) -> &Connection {
        self.connection
    }

    /// When the attempt began.
    pub(super) fn began(&self) -> Instant {
        self.began
    }

    /// Begins an attempt at the same request, which `copy` is, on another connection.
    pub(super) fn begin_second<'s>(&self, connection: &'s mut Connection, copy: &'s mut BodyWriter) -> Exchange<'s>
    where
        'e: 's,
    {
        let second = Exchange::begin(self.worker, connection, copy, self.to_head, self.whole);
        Exchange { passes_interim: false, ..second }
    }

    /// Copies the request, which has no body, and counts its bytes.
    pub(super) fn copy_request(&self) -> (BodyWriter, Held) {
        let buffers = &self.worker.connections.buffers;
        let copy = self.body.copy(buffers.take_head());
        let held = Held::new(buffers.memory(), copy.buffered());
        (copy, held)
    }

    /// Moves the request and reads the response. Ready when its head is complete.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut impl BodySource,
        attempt: &mut impl Attempt<T>,
    ) -> Poll<Result<T, Error>> {
        let Self { worker, connection, body, to_head, passes_interim, .. } = self;
        let now = worker.clock.now();
        match body.poll(cx, source, &mut connection.stream, now) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => {
                connection.note_sent(worker.index, now);
                if source.poll_disconnected(cx).is_ready() {
                    return Poll::Ready(Err(never(Kind::ClientGone)));
                }
            }
            Poll::Ready(Err(WriteError::Client(error))) => return Poll::Ready(Err(error)),
            Poll::Ready(Err(WriteError::Endpoint(error))) => {
                if !body.has_begun() {
                    let error = Error::because(Kind::UpstreamClosed, Retry::Unsent, error);
                    return Poll::Ready(Err(error));
                }
                // It may have responded before it closed.
                body.stop();
                connection.disable_reuse();
            }
        }
        let buffers = &worker.connections.buffers;
        let is_whole = body.is_whole();
        let mut on_head = |head: &ResponseHead<'_>| attempt.on_head(head, is_whole);
        let mut on_interim = |head: &head::Response<'_>| {
            if *passes_interim {
                source.interim(head);
            }
        };
        if let Poll::Ready(head) = connection.poll_head(cx, buffers, *to_head, &mut on_interim, &mut on_head) {
            connection.note_progress(now);
            if head.is_ok() {
                connection.note_answered(worker.index, now);
            }
            return Poll::Ready(head);
        }
        if let Poll::Ready(Err(error)) = source.poll_interim(cx) {
            return Poll::Ready(Err(Error::because(Kind::ClientGone, Retry::Never, error)));
        }
        while self.connection.deadline.poll(cx).is_ready() {
            // Read the clock again: an older reading would make the deadline appear to be in the future.
            let now = self.worker.clock.tick();
            let next = self.next_look(now, attempt)?;
            self.connection.deadline.set(next);
        }
        Poll::Pending
    }

    /// Decides whether the attempt goes on, and returns when to decide again.
    ///
    /// After a second it asks for a check of the endpoint, and gives up if the endpoint is known to be down.
    fn next_look<T>(&mut self, now: Instant, attempt: &mut impl Attempt<T>) -> Result<Instant, Error> {
        let Self { worker, connection, body, began, whole, .. } = self;
        let (response, one_try) = (connection.pool().timeouts.response, connection.pool().timeouts.one_try);
        let since = body.awaits_endpoint_since(*began, now);
        let (waited, mut due) = (now.saturating_duration_since(since), since + response);
        if now >= due {
            return Err(Error::new(Kind::ResponseTimeout, Retry::OnceElsewhere));
        }
        if let Some((since, allowed)) = *whole {
            let end = body.awaits_endpoint_since(since, now) + allowed;
            if now >= end {
                return Err(Error::because(Kind::ResponseTimeout, Retry::Never, "the time of the request is over"));
            }
            due = due.min(end);
        }
        let is_whole = body.is_whole();
        match one_try.map(|allowed| since + allowed) {
            Some(end) if now < end => due = due.min(end),
            Some(_) if attempt.gives_up(connection, Reason::Late, is_whole) => {
                let why = "the time of this attempt is over";
                return Err(Error::because(Kind::ResponseTimeout, Retry::IfIdempotent, why));
            }
            _ => {}
        }
        if waited >= DOWN_CHECK_INTERVAL {
            connection.endpoint().note_overdue();
            worker.connections.doubt(connection, now);
        }
        if attempt.gives_up(connection, Reason::Down, is_whole) {
            let why = "the endpoint is down";
            return Err(Error::because(Kind::ResponseTimeout, Retry::IfIdempotent, why));
        }
        let is_soon = waited >= DOWN_CHECK_INTERVAL && waited < LOOK_OFTEN;
        let pause = if is_soon { DOWN_CHECK_SOON } else { DOWN_CHECK_INTERVAL };
        Ok((now + pause).min(due))
    }
}
