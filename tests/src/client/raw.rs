//! A client that sends bytes, for requests that are malformed, slow, or truncated.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::wait::{SOON, deadline};

/// A TCP connection that is written and read byte by byte.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    /// Bytes that were read but not returned yet.
    pending: Vec<u8>,
}

/// Sends `bytes` on a new connection and returns all bytes that arrive until the server closes it.
///
/// # Panics
/// If the connection is not accepted, or still open after [`SOON`].
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut connection = Raw::open(address).await;
    // A server may respond and close before it has read everything; its response still counts.
    connection.try_send(bytes).await;
    connection.rest().await
}

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// If the connection is not accepted.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("an accepted connection");
        stream.set_nodelay(true).expect("a socket option");
        Self::from(stream)
    }

    /// Connects from `source`, an IPv4 address of this host, such as 127.0.0.2.
    ///
    /// # Panics
    /// If the connection is not accepted.
    pub async fn open_from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(source, 0)).expect("an address of this host");
        let stream = socket.connect(address).await.expect("an accepted connection");
        stream.set_nodelay(true).expect("a socket option");
        Self::from(stream)
    }

    /// Sends `bytes`.
    ///
    /// # Panics
    /// If the server has closed the connection.
    pub async fn send(&mut self, bytes: &[u8]) {
        assert!(self.try_send(bytes).await, "the server closed before everything was sent");
    }

    /// Sends `bytes` and returns whether the server accepted all of them before it closed.
    pub async fn try_send(&mut self, bytes: &[u8]) -> bool {
        deadline("the write", SOON, self.stream.write_all(bytes)).await.is_ok()
    }

    /// Closes the sending direction (FIN) and keeps reading.
    pub async fn finish(&mut self) {
        // Fails only on a closed connection, which reading shows.
        self.stream.shutdown().await.unwrap_or(());
    }

    /// Reads up to and including the next `end`, such as the empty line that ends a head.
    ///
    /// # Panics
    /// If the server closes first, or does not send `end` within [`SOON`].
    pub async fn until(&mut self, end: &str) -> String {
        let read = async {
            loop {
                let found = self.pending.windows(end.len()).position(|part| part == end.as_bytes());
                if let Some(start) = found {
                    let rest = self.pending.split_off(start + end.len());
                    return text(&std::mem::replace(&mut self.pending, rest));
                }
                let count = self.stream.read_buf(&mut self.pending).await.unwrap_or(0);
                assert!(count > 0, "closed before {end:?}, after {:?}", text(&self.pending));
            }
        };
        deadline("the awaited bytes", SOON, read).await
    }

    /// Reads `count` bytes and discards them.
    ///
    /// # Panics
    /// If the server closes first, or does not send them within [`SOON`].
    pub async fn skip(&mut self, count: usize) {
        let mut left = count;
        let read = async {
            loop {
                let taken = left.min(self.pending.len());
                self.pending.drain(..taken);
                left -= taken;
                if left == 0 {
                    return;
                }
                let count = self.stream.read_buf(&mut self.pending).await.unwrap_or(0);
                assert!(count > 0, "closed with {left} bytes to come");
            }
        };
        deadline("the awaited bytes", SOON, read).await;
    }

    /// Reads until the server closes or resets the connection.
    ///
    /// # Panics
    /// If it is still open after [`SOON`].
    pub async fn rest(&mut self) -> String {
        let closed = self.closes_within(SOON).await;
        assert!(closed, "still open after {:?}", text(&self.pending));
        text(&std::mem::take(&mut self.pending))
    }

    /// Keeps reading and returns whether the server closes or resets the connection within `time`.
    pub async fn closes_within(&mut self, time: Duration) -> bool {
        let read = self.stream.read_to_end(&mut self.pending);
        tokio::time::timeout(time, read).await.is_ok()
    }

    /// Resets the connection (RST) instead of closing it.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("a socket option");
    }
}

impl From<TcpStream> for Raw {
    /// Wraps an existing connection, such as an accepted one.
    fn from(stream: TcpStream) -> Self {
        Self { stream, pending: Vec::new() }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
