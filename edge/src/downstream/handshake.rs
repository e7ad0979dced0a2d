//! The TLS handshake of a connection, and what is known about a client whose handshake fails.

use std::{io, sync::Arc};

use rustls::{ServerConfig, server::Acceptor};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use crate::io::tls_stream::TlsStream;

/// Why there is no TLS connection.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client speaks HTTP without TLS. It can be answered on the stream.
    Http(TcpStream),
    /// The client closed the connection before it sent anything, as port checks do.
    Closed,
    /// It took too long.
    TimedOut,
    /// The handshake failed.
    Tls {
        /// The name that the client requested (SNI, RFC 6066 section 3), if it arrived.
        server_name: Option<Box<str>>,
        /// The error of the system or the TLS library.
        error: io::Error,
    },
}

/// Accepts TLS on a connection. The caller limits the time.
pub(super) async fn accept(stream: TcpStream, config: Arc<ServerConfig>) -> Result<TlsStream, Failure> {
    let failed = |server_name| move |error| Failure::Tls { server_name, error };
    let mut first = [0];
    if stream.peek(&mut first).await.map_err(failed(None))? == 0 {
        return Err(Failure::Closed);
    }
    // Methods are upper case by convention. A handshake begins with the byte 22 (RFC 8446 section 5.1).
    if first[0].is_ascii_uppercase() {
        return Err(Failure::Http(stream));
    }
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(failed(None))?;
    let server_name = start.client_hello().server_name().map(Box::from);
    start.into_stream(config).await.map(TlsStream::new).map_err(failed(server_name))
}
