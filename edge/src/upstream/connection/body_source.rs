//! What a request body is read from.

use std::{
    io,
    task::{Context, Poll},
};

use tokio::net::TcpStream;

use crate::{error::Error, protocol::h1::head};

/// The source of a request body: the client's connection or stream.
pub trait BodySource {
    /// Returns data of the body, never empty; `None` at its end.
    ///
    /// # Errors
    /// The client disconnected, or its body is malformed.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<&[u8]>, Error>>;

    /// Consumes `count` bytes of the data returned last.
    fn consume(&mut self, count: usize);

    /// Returns the client's socket if the next bytes on it are the body. Only for bodies of a known length.
    fn socket(&mut self) -> Option<&TcpStream>;

    /// Notes that `count` bytes of the body were taken from the socket.
    fn spliced(&mut self, count: usize);

    /// Returns the trailers that may be passed on, as whole lines. Only after the end of the body.
    fn trailers(&mut self) -> Vec<u8>;

    /// Takes an interim response for the client, if its protocol and the edge's implementation of it have any.
    fn interim(&mut self, head: &head::Response<'_>);

    /// Writes interim responses. Polled while the response is awaited.
    ///
    /// # Errors
    /// The client disconnected.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready once the client no longer reads. Polled while nothing more of the body is awaited, and about once a
    /// second.
    fn poll_disconnected(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}
