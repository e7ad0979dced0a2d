//! Many keep-alive connections on one thread, each with at most one outstanding request.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{poller::Poller, reply::Reply};

/// One write of an upload.
const PIECE: usize = 256 * 1024;

/// The request that is sent on each connection.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// The head, or a whole frame.
    head: Vec<u8>,
    /// Bytes of body after it.
    body: u64,
    /// Length of the response; `None` if its HTTP head says so.
    answer: Option<u64>,
}

impl Question {
    /// `GET` of a path, with the header fields of a typical client.
    pub(crate) fn get(path: &str) -> Self {
        Self::http(&format!("GET {path} HTTP/1.1\r\n{FIELDS}\r\n"), 0)
    }

    /// `POST` of a body.
    pub(crate) fn post(size: u64) -> Self {
        Self::http(&format!("POST /upload HTTP/1.1\r\n{FIELDS}content-length: {size}\r\n\r\n"), size)
    }

    /// Any HTTP/1.1 request.
    pub(crate) fn http(head: &str, body: u64) -> Self {
        Self { head: head.into(), body, answer: None }
    }

    /// Bytes to which the response is a known number of bytes.
    pub(crate) fn raw(bytes: Vec<u8>, answer: u64) -> Self {
        Self { head: bytes, body: 0, answer: Some(answer) }
    }

    fn reply(&self) -> Reply {
        self.answer.map_or_else(Reply::http, Reply::bytes)
    }
}

/// What curl sends, and a host name.
const FIELDS: &str = "host: www.example.com\r\nuser-agent: bench/1.0\r\naccept: */*\r\n";

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    reply: Reply,
    /// Bytes of the request head that were sent; all of them unless the socket was full.
    head_sent: usize,
    body_left: u64,
    /// Whether a response is outstanding.
    busy: bool,
    /// When the outstanding request was due.
    due: Instant,
}

/// The connections.
#[derive(Debug)]
pub(crate) struct Fleet {
    poller: Poller,
    connections: Vec<Connection>,
    ready: Vec<u64>,
    buffer: Vec<u8>,
    zeros: Vec<u8>,
    /// Bytes of bodies, heads and frames, in both directions.
    moved: u64,
}

impl Fleet {
    /// Opens `count` connections.
    pub(crate) fn connect(target: SocketAddr, count: usize) -> Result<Self> {
        let poller = Poller::new()?;
        let mut connections = Vec::with_capacity(count);
        for token in 0..count {
            let stream = TcpStream::connect(target).context("connect")?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            poller.add(&stream, token as u64)?;
            let reply = Reply::http();
            let due = Instant::now();
            connections.push(Connection { stream, reply, head_sent: 0, body_left: 0, busy: false, due });
        }
        let (buffer, zeros) = (vec![0; PIECE], vec![b'.'; PIECE]);
        Ok(Self { poller, connections, ready: Vec::new(), buffer, zeros, moved: 0 })
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Bytes sent and received so far.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// When the request last sent on a connection was due.
    pub(crate) fn due(&self, index: usize) -> Instant {
        self.connections[index].due
    }

    /// Sends a request on a connection without an outstanding one.
    pub(crate) fn ask(&mut self, index: usize, question: &Question, due: Instant) -> Result<()> {
        let connection = &mut self.connections[index];
        connection.reply = question.reply();
        connection.head_sent = 0;
        connection.body_left = question.body;
        connection.busy = true;
        connection.due = due;
        self.moved += connection.send(question, &self.zeros)?;
        Ok(())
    }

    /// Waits, at most `timeout`, and adds to `done` the connections whose response is complete.
    pub(crate) fn turn(&mut self, question: &Question, timeout: Option<Duration>, done: &mut Vec<usize>) -> Result<()> {
        self.poller.wait(timeout, &mut self.ready)?;
        for &token in &self.ready {
            let index = usize::try_from(token)?;
            let Some(connection) = self.connections.get_mut(index) else { bail!("an event of nobody") };
            self.moved += connection.send(question, &self.zeros)?;
            if connection.receive(&mut self.buffer, &mut self.moved)? {
                done.push(index);
            }
        }
        Ok(())
    }

    /// Sends one request on each connection, and waits for all responses.
    pub(crate) fn once(&mut self, question: &Question) -> Result<()> {
        for index in 0..self.len() {
            self.ask(index, question, Instant::now())?;
        }
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut done = Vec::new();
        while done.len() < self.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{} of {} connections got no answer", self.len() - done.len(), self.len());
            }
            self.turn(question, Some(left), &mut done)?;
        }
        Ok(())
    }
}

impl Connection {
    /// Sends as much as the socket accepts.
    fn send(&mut self, question: &Question, zeros: &[u8]) -> Result<u64> {
        let mut moved = 0;
        while self.busy {
            let rest = &question.head[self.head_sent.min(question.head.len())..];
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
                    moved += length as u64;
                    if rest.is_empty() { self.body_left -= length as u64 } else { self.head_sent += length }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("write"),
            }
        }
        Ok(moved)
    }

    /// Reads what is available; `true` when that completes the response.
    fn receive(&mut self, buffer: &mut [u8], moved: &mut u64) -> Result<bool> {
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => bail!("the proxy closed a connection"),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error).context("read"),
            };
            if !self.busy {
                bail!("an answer to no question");
            }
            *moved += length as u64;
            if self.reply.feed(&buffer[..length])? {
                self.busy = false;
                return Ok(true);
            }
            if length < buffer.len() {
                return Ok(false);
            }
        }
    }
}
