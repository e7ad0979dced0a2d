//! The TLS handshake of a connection, and what is known about a client whose handshake fails.

use std::{cell::Cell, io, rc::Rc, sync::Arc, time::Duration};

use rustls::{ServerConfig, server::Acceptor};
use tokio::{
    net::TcpStream,
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_rustls::LazyConfigAcceptor;

use crate::{
    io::{memory::Held, tls_stream::TlsStream},
    worker::{
        Worker,
        shedding::{self, Candidate},
    },
};

/// What a handshake makes the edge hold, in bytes: keys, and buffers for its messages.
const HELD: usize = 24 * 1024;

/// A client without a TLS connection.
#[derive(Debug)]
pub(super) struct Failure {
    /// Why it has none.
    pub(super) cause: Cause,
    /// The name that the client requested (SNI, RFC 6066 section 3). `None` also if its `ClientHello` did not arrive in
    /// full: the name is a part of that message, and rustls returns the message only as a whole.
    pub(super) server_name: Option<Box<str>>,
}

/// Why there is no TLS connection.
#[derive(Debug)]
pub(super) enum Cause {
    /// The client speaks HTTP without TLS. It can be answered on the stream.
    Http(TcpStream),
    /// The client closed the connection before it sent anything, as port checks do.
    Closed,
    /// It took too long.
    TimedOut,
    /// It was ended because memory runs out.
    Shed,
    /// The error of the system or the TLS library.
    Tls(io::Error),
}

/// A handshake that may be ended when memory runs out: a client could hold many that it never finishes.
#[derive(Debug)]
struct Unfinished {
    since: Instant,
    is_shed: Cell<bool>,
    /// Notified when it must end.
    ended: Notify,
    _held: Held,
}

impl shedding::Client for Unfinished {
    fn candidate(&self, now: Instant) -> Option<Candidate> {
        let stalled = now.saturating_duration_since(self.since);
        (!self.is_shed.get()).then_some(Candidate { held: HELD, stalled })
    }

    fn shed(&self) {
        self.is_shed.set(true);
        self.ended.notify_one();
    }
}

/// Accepts TLS on a connection within `longest`.
pub(super) async fn accept(
    worker: &Worker,
    stream: TcpStream,
    config: Arc<ServerConfig>,
    longest: Duration,
) -> Result<TlsStream, Failure> {
    // Outside of the future that may time out, so that it is known then.
    let mut server_name = None;
    let unfinished = Rc::new(Unfinished {
        since: worker.clock.tick(),
        is_shed: Cell::new(false),
        ended: Notify::new(),
        _held: Held::new(worker.connections.buffers.memory(), HELD),
    });
    let client: Rc<dyn shedding::Client> = Rc::<Unfinished>::clone(&unfinished);
    let _added = worker.clients.add(Rc::downgrade(&client));
    let outcome = tokio::select! {
        biased;
        outcome = timeout(longest, handshake(stream, config, &mut server_name)) => {
            outcome.unwrap_or(Err(Cause::TimedOut))
        }
        () = unfinished.ended.notified() => Err(Cause::Shed),
    };
    outcome.map_err(|cause| Failure { cause, server_name })
}

async fn handshake(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    server_name: &mut Option<Box<str>>,
) -> Result<TlsStream, Cause> {
    let mut first = [0];
    if stream.peek(&mut first).await.map_err(Cause::Tls)? == 0 {
        return Err(Cause::Closed);
    }
    // Methods are upper case by convention. A handshake begins with the byte 22 (RFC 8446 section 5.1).
    if first[0].is_ascii_uppercase() {
        return Err(Cause::Http(stream));
    }
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(Cause::Tls)?;
    *server_name = start.client_hello().server_name().map(Box::from);
    start.into_stream(config).await.map(TlsStream::new).map_err(Cause::Tls)
}
