//! Moves long bodies from socket to socket without copying them into the edge's memory (splice(2)).
//!
//! A pipe between the sockets holds references to the kernel's pages. That takes three system calls where copying takes
//! two, so it is used for bodies that are long and arrive fast. With TLS or chunks on either side nothing can be
//! spliced.

use std::{
    io,
    os::fd::OwnedFd,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest},
    net::TcpStream,
};

use super::tls_stream::TlsStream;

/// Bodies with fewer bytes left than this are copied.
pub const MIN_SPLICE: u64 = 128 * 1024;
/// The capacity of a pipe, in bytes.
const CAPACITY: usize = 256 * 1024;
/// The most pipes in the process; further bodies are copied. The kernel limits the total capacity of one user's pipes
/// (64 MiB, `fs.pipe-user-pages-soft`), and each takes two file descriptors.
const MAX_PIPES: usize = 128;
/// The number of pipes in the process.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A connection to a client, with or without TLS.
pub trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// The socket, unless TLS encrypts its bytes.
    fn socket(&self) -> Option<&TcpStream>;

    /// Whether the client reset the connection. The end of its stream alone shows only that it sends no more.
    fn is_reset(&self) -> bool;

    /// Makes the close a reset, so that the kernel keeps nothing of what the client did not read.
    fn reset_on_close(&self);
}

impl Transport for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }

    fn is_reset(&self) -> bool {
        !matches!(self.take_error(), Ok(None))
    }

    fn reset_on_close(&self) {
        // Best effort: the connection closes in any case.
        let _outcome = self.set_zero_linger();
    }
}

impl Transport for Box<TlsStream> {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }

    fn is_reset(&self) -> bool {
        TlsStream::socket(self).is_reset()
    }

    fn reset_on_close(&self) {
        TlsStream::socket(self).reset_on_close();
    }
}

impl<S: Transport> Transport for &mut S {
    fn socket(&self) -> Option<&TcpStream> {
        (**self).socket()
    }

    fn is_reset(&self) -> bool {
        (**self).is_reset()
    }

    fn reset_on_close(&self) {
        (**self).reset_on_close();
    }
}

/// A pipe between two sockets.
#[derive(Debug)]
pub struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    capacity: usize,
    /// The bytes it contains.
    filled: usize,
    _permit: PipePermit,
}

/// One of the pipes that the process may have.
#[derive(Debug)]
struct PipePermit;

impl PipePermit {
    fn take() -> Option<Self> {
        let more = |open: usize| (open < MAX_PIPES).then_some(open + 1);
        OPEN.fetch_update(Relaxed, Relaxed, more).ok().map(|_before| Self)
    }
}

impl Drop for PipePermit {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Relaxed);
    }
}

impl Pipe {
    /// Creates an empty pipe.
    ///
    /// # Errors
    /// The process has too many pipes, or the kernel refuses another.
    pub fn new() -> io::Result<Self> {
        let permit = PipePermit::take().ok_or(io::ErrorKind::QuotaExceeded)?;
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let capacity = fcntl_setpipe_size(&into, CAPACITY)?;
        Ok(Self { out, into, capacity, filled: 0, _permit: permit })
    }

    /// Whether it contains no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Moves at most `max` bytes from a socket into the pipe, which must be empty: a full pipe cannot be distinguished
    /// from an empty socket. Returns the number of bytes; 0 is the end of the stream.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_in(&mut self, cx: &mut Context<'_>, from: &TcpStream, max: u64) -> Poll<io::Result<usize>> {
        let max = usize::try_from(max).unwrap_or(usize::MAX).min(self.capacity);
        loop {
            ready!(from.poll_read_ready(cx))?;
            let moved = from.try_io(Interest::READABLE, || {
                Ok(splice(from, None, &self.into, None, max, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
            });
            match moved {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) => {
                    self.filled += count;
                    return Poll::Ready(Ok(count));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Moves bytes from the pipe, which must not be empty, to a socket. Returns the number of bytes.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_out(&mut self, cx: &mut Context<'_>, to: &TcpStream) -> Poll<io::Result<usize>> {
        loop {
            ready!(to.poll_write_ready(cx))?;
            let moved = to.try_io(Interest::WRITABLE, || {
                Ok(splice(&self.out, None, to, None, self.filled, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
            });
            match moved {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.filled = self.filled.saturating_sub(count);
                    return Poll::Ready(Ok(count));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_are_spliced_in_order_and_no_more_than_requested() {
        let (mut client, inner) = pair().await;
        let (outer, mut server) = pair().await;
        let body: Vec<u8> = (0..3_000_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let sent = body.clone();
        tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            client.write_all(b"next").await.unwrap();
            client
        });
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            server.read_to_end(&mut all).await.unwrap();
            all
        });
        let mut pipe = Pipe::new().unwrap();
        let mut left = body.len() as u64;
        while left > 0 {
            left -= poll_fn(|cx| pipe.poll_in(cx, &inner, left)).await.unwrap() as u64;
            while !pipe.is_empty() {
                poll_fn(|cx| pipe.poll_out(cx, &outer)).await.unwrap();
            }
        }
        drop(outer);
        assert!(reader.await.unwrap() == body, "the bytes were changed");
        let mut next = [0; 4];
        let mut inner = inner;
        inner.read_exact(&mut next).await.unwrap();
        assert_eq!(&next, b"next");
    }

    #[tokio::test]
    async fn a_reset_reaches_the_client_instead_of_what_it_did_not_read() {
        let (mut client, server) = pair().await;
        server.reset_on_close();
        drop(server);
        let error = client.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn the_end_of_a_stream_is_a_read_of_0_bytes() {
        let (client, inner) = pair().await;
        drop(client);
        let mut pipe = Pipe::new().unwrap();
        assert_eq!(poll_fn(|cx| pipe.poll_in(cx, &inner, 100)).await.unwrap(), 0);
    }
}
