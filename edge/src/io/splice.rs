//! Long bodies from socket to socket without passing through the edge's memory (splice(2)).
//!
//! A pipe stands between the sockets and takes references to the kernel's pages, so nothing is copied.
//! It costs three system calls where copying costs two, and so is for bodies that are long and come
//! fast; with TLS or chunks on either side there is nothing to splice.

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
use tokio_rustls::server::TlsStream;

/// With fewer bytes to come than this a pipe is not worth it.
pub const WORTH_IT: u64 = 128 * 1024;
/// What a pipe holds. Bytes.
const ROOM: usize = 256 * 1024;
/// Pipes of the whole process at a time; bodies beyond them are copied. The kernel bounds what one user's
/// pipes hold together (64 MiB, `fs.pipe-user-pages-soft`), and each takes two file descriptors.
const MOST: usize = 128;
/// How many there are.
static OPEN: AtomicUsize = AtomicUsize::new(0);

/// What a client is connected by.
pub trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// The socket, if what goes through it is the body and nothing else.
    fn socket(&self) -> Option<&TcpStream>;
}

impl Transport for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Transport for Box<TlsStream<TcpStream>> {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

/// A pipe between two sockets.
#[derive(Debug)]
pub struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    room: usize,
    /// Bytes in it.
    filled: usize,
    _counted: Counted,
}

/// One of the pipes that there may be.
#[derive(Debug)]
struct Counted;

impl Counted {
    fn take() -> Option<Self> {
        let more = |open: usize| (open < MOST).then_some(open + 1);
        OPEN.fetch_update(Relaxed, Relaxed, more).ok().map(|_before| Self)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Relaxed);
    }
}

impl Pipe {
    /// An empty pipe.
    ///
    /// # Errors
    /// When there are many already, or the kernel grants no more.
    pub fn new() -> io::Result<Self> {
        let counted = Counted::take().ok_or(io::ErrorKind::QuotaExceeded)?;
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let room = fcntl_setpipe_size(&into, ROOM)?;
        Ok(Self { out, into, room, filled: 0, _counted: counted })
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Takes in what a socket has, `most` bytes at most; 0 is the end of the stream. For an empty pipe:
    /// a full one could not be told from an empty socket.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_in(&mut self, cx: &mut Context<'_>, from: &TcpStream, most: u64) -> Poll<io::Result<usize>> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.room);
        loop {
            ready!(from.poll_read_ready(cx))?;
            let moved = from.try_io(Interest::READABLE, || {
                Ok(splice(from, None, &self.into, None, most, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
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

    /// Gives a socket what it takes. For a pipe that is not empty.
    ///
    /// # Errors
    /// The socket's.
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
    async fn bytes_go_from_socket_to_socket_in_order_and_no_more_than_asked_for() {
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
    async fn the_end_of_a_stream_is_told() {
        let (client, inner) = pair().await;
        drop(client);
        let mut pipe = Pipe::new().unwrap();
        assert_eq!(poll_fn(|cx| pipe.poll_in(cx, &inner, 100)).await.unwrap(), 0);
    }
}
