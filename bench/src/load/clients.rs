//! HTTP/1.1 clients on one thread, each with one keep-alive connection and at most one outstanding request.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{poller::Poller, response_reader::ResponseReader};

/// The size of one write of an upload, in bytes.
const CHUNK: usize = 256 * 1024;

/// The request that clients send.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The head, or a whole WebSocket frame.
    head: Vec<u8>,
    /// The length of the body after it, in bytes.
    body: u64,
    /// The length of the response in bytes; `None` if the response's HTTP head declares it.
    response_length: Option<u64>,
}

impl Request {
    /// A `GET` of a path, with the header fields of a typical client.
    pub(crate) fn get(path: &str) -> Self {
        Self::http(&format!("GET {path} HTTP/1.1\r\n{FIELDS}\r\n"), 0)
    }

    /// A `POST` with a body of `size` bytes.
    pub(crate) fn post(size: u64) -> Self {
        Self::http(&format!("POST /upload HTTP/1.1\r\n{FIELDS}content-length: {size}\r\n\r\n"), size)
    }

    /// An HTTP/1.1 request with this head and a body of `body` bytes.
    pub(crate) fn http(head: &str, body: u64) -> Self {
        Self { head: head.into(), body, response_length: None }
    }

    /// Bytes to which the response has a known length in bytes.
    pub(crate) fn raw(bytes: Vec<u8>, response_length: u64) -> Self {
        Self { head: bytes, body: 0, response_length: Some(response_length) }
    }

    fn response_reader(&self) -> ResponseReader {
        self.response_length.map_or_else(ResponseReader::http, ResponseReader::bytes)
    }
}

/// The fields that curl sends, and a host name.
const FIELDS: &str = "host: www.example.com\r\nuser-agent: bench/1.0\r\naccept: */*\r\n";

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    response: ResponseReader,
    /// How many bytes of the head were sent: all, unless the socket's buffer was full.
    head_sent: usize,
    body_left: u64,
    /// Whether a response is outstanding.
    busy: bool,
    /// When the outstanding request was due.
    due: Instant,
}

/// Clients of one target.
#[derive(Debug)]
pub(crate) struct Clients {
    poller: Poller,
    connections: Vec<Connection>,
    ready: Vec<u64>,
    buffer: Vec<u8>,
    zeros: Vec<u8>,
    /// Bytes of heads, bodies and frames in both directions.
    transferred: u64,
}

impl Clients {
    /// Connects `count` clients.
    pub(crate) fn connect(target: SocketAddr, count: usize) -> Result<Self> {
        let poller = Poller::new()?;
        let mut connections = Vec::with_capacity(count);
        for token in 0..count {
            let stream = TcpStream::connect(target).context("connect")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            poller.add(&stream, token as u64)?;
            let response = ResponseReader::http();
            let due = Instant::now();
            connections.push(Connection { stream, response, head_sent: 0, body_left: 0, busy: false, due });
        }
        let (buffer, zeros) = (vec![0; CHUNK], vec![b'.'; CHUNK]);
        Ok(Self { poller, connections, ready: Vec::new(), buffer, zeros, transferred: 0 })
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// The number of bytes sent and received so far.
    pub(crate) fn transferred(&self) -> u64 {
        self.transferred
    }

    /// When the client's last request was due.
    pub(crate) fn due(&self, index: usize) -> Instant {
        self.connections[index].due
    }

    /// Sends a request from a client that has no outstanding one.
    pub(crate) fn send(&mut self, index: usize, request: &Request, due: Instant) -> Result<()> {
        let connection = &mut self.connections[index];
        connection.response = request.response_reader();
        connection.head_sent = 0;
        connection.body_left = request.body;
        connection.busy = true;
        connection.due = due;
        self.transferred += connection.send(request, &self.zeros)?;
        Ok(())
    }

    /// Waits at most `timeout`, and adds to `done` the clients whose response is complete.
    pub(crate) fn poll(&mut self, request: &Request, timeout: Option<Duration>, done: &mut Vec<usize>) -> Result<()> {
        self.poller.wait(timeout, &mut self.ready)?;
        for &token in &self.ready {
            let index = usize::try_from(token)?;
            let Some(connection) = self.connections.get_mut(index) else { bail!("an event for an unknown client") };
            self.transferred += connection.send(request, &self.zeros)?;
            if connection.receive(&mut self.buffer, &mut self.transferred)? {
                done.push(index);
            }
        }
        Ok(())
    }

    /// Sends one request from each client, and waits for all responses.
    pub(crate) fn once(&mut self, request: &Request) -> Result<()> {
        for index in 0..self.len() {
            self.send(index, request, Instant::now())?;
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut done = Vec::new();
        while done.len() < self.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{} of {} clients received no response", self.len() - done.len(), self.len());
            }
            self.poll(request, Some(left), &mut done)?;
        }
        Ok(())
    }
}

impl Connection {
    /// Sends as much as the socket accepts. Returns how many bytes.
    fn send(&mut self, request: &Request, zeros: &[u8]) -> Result<u64> {
        let mut transferred = 0;
        while self.busy {
            let rest = &request.head[self.head_sent.min(request.head.len())..];
            let piece = if rest.is_empty() {
                &zeros[..zeros.len().min(usize::try_from(self.body_left).unwrap_or(usize::MAX))]
            } else {
                rest
            };
            if piece.is_empty() {
                break;
            }
            match self.stream.write(piece) {
                Ok(length) => {
                    transferred += length as u64;
                    if rest.is_empty() { self.body_left -= length as u64 } else { self.head_sent += length }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("write"),
            }
        }
        Ok(transferred)
    }

    /// Reads the available bytes. Returns whether they complete the response.
    fn receive(&mut self, buffer: &mut [u8], transferred: &mut u64) -> Result<bool> {
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => bail!("the proxy closed a connection"),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error).context("read"),
            };
            if !self.busy {
                bail!("received a response without a request");
            }
            *transferred += length as u64;
            if self.response.feed(&buffer[..length])? {
                self.busy = false;
                return Ok(true);
            }
            if length < buffer.len() {
                return Ok(false);
            }
        }
    }
}
