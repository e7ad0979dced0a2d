//! The TLS handshake of a connection, and what is known about a client whose handshake fails.

use std::{io, sync::Arc, time::Duration};

use rustls::{ServerConfig, server::Acceptor};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::LazyConfigAcceptor;

use crate::io::tls_stream::TlsStream;

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
    /// The error of the system or the TLS library.
    Tls(io::Error),
}

/// Accepts TLS on a connection within `longest`.
pub(super) async fn accept(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    longest: Duration,
) -> Result<TlsStream, Failure> {
    // Outside of the future that may time out, so that it is known then.
    let mut server_name = None;
    let outcome = timeout(longest, handshake(stream, config, &mut server_name)).await;
    outcome.unwrap_or(Err(Cause::TimedOut)).map_err(|cause| Failure { cause, server_name })
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
