//! A client connection that speaks HTTP/2.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use h2::server;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::spawn_local,
};

use super::{
    exchange::serve,
    inspected_stream::InspectedStream,
    piece::Piece,
    request_body::{CONNECTION_WINDOW, STREAM_WINDOW, Upload},
};
use crate::{
    config::Limits,
    protocol::h2::{limits::list_of_h2, mark::Token},
    worker::{Worker, client_activity::ClientActivity},
};

/// How many streams a client may reset before they are served, and how many it may make the edge reset. Above either
/// number the connection ends (CVE-2023-44487 "rapid reset", CVE-2025-8671 "MadeYouReset").
const MAX_RESETS: usize = 50;
/// How much of a response h2 buffers for a stream before it asks for more, in bytes. The edge reads one piece ahead, so
/// that a client which reads nothing makes it hold this and two pieces.
const BUFFER: usize = 16 * 1024;

/// A connection. As a future it accepts streams, each of which is a task of its own, and ends with the connection.
///
/// # Errors
/// Why h2 ended the connection, if neither side closed it.
pub struct Connection<S> {
    state: State<InspectedStream<S>>,
    /// The connection closes once the streams under way have ended.
    closing: bool,
    worker: Rc<Worker>,
    activity: Rc<ClientActivity>,
    token: Rc<Token>,
}

enum State<S> {
    /// The client's preface and settings have not arrived.
    Handshake(server::Handshake<S, Piece>),
    Serving(server::Connection<S, Piece>),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Begins a connection on this stream.
    pub fn new(worker: &Rc<Worker>, activity: &Rc<ClientActivity>, limits: &Limits, stream: S) -> Self {
        activity.multiplex(STREAM_WINDOW, CONNECTION_WINDOW);
        let token = Token::new([worker.random(), worker.random()]);
        let stream = InspectedStream::new(stream, token.clone(), limits.max_head, worker, activity);
        let handshake = server::Builder::new()
            .max_concurrent_streams(limits.max_streams)
            .max_header_list_size(u32::try_from(list_of_h2(limits.max_head)).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(MAX_RESETS)
            .max_local_error_reset_streams(Some(MAX_RESETS))
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(BUFFER)
            .handshake(stream);
        Self {
            state: State::Handshake(handshake),
            closing: false,
            worker: Rc::clone(worker),
            activity: Rc::clone(activity),
            token: Rc::new(token),
        }
    }

    /// Accepts no more streams (GOAWAY, RFC 9113 section 6.8), and closes the connection when those under way have
    /// ended. One that races the announcement is still served.
    pub fn graceful_shutdown(&mut self) {
        self.closing = true;
        if let State::Serving(connection) = &mut self.state {
            connection.graceful_shutdown();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = Result<(), h2::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Handshake(handshake) => {
                    let mut connection = ready!(Pin::new(handshake).poll(cx))?;
                    if this.closing {
                        connection.graceful_shutdown();
                    }
                    this.state = State::Serving(connection);
                }
                State::Serving(connection) => {
                    let Some(accepted) = ready!(connection.poll_accept(cx)) else { return Poll::Ready(Ok(())) };
                    let (request, reply) = accepted?;
                    // Not in the task: all bodies that have arrived together begin before the first of them can end.
                    let upload = Upload::of(request.body(), &this.activity);
                    let (worker, activity) = (Rc::clone(&this.worker), Rc::clone(&this.activity));
                    spawn_local(serve(worker, activity, Rc::clone(&this.token), request, upload, reply));
                }
            }
        }
    }
}

/// Whether the edge ended a connection because its client made it work too much.
#[must_use]
pub fn is_flood(error: &h2::Error) -> bool {
    error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) && !error.is_remote()
}
