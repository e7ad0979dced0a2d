//! The upstream of every proxy: one thread on the load's core that listens on all loopback addresses and sends constant
//! responses as fast as possible.
//!
//! `GET /bytes/N` returns N bytes; any other path returns 64 bytes, after the request body if there is one.
//! `GET /websocket` upgrades the connection and echoes frames, unmasked.

use std::{
    collections::HashMap,
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
};

use anyhow::{Context, Result};

use crate::load::{poller::Poller, websocket};

const SMALL: &[u8] = b"HTTP/1.1 200 OK\r\nserver: upstream\r\ncontent-type: text/plain\r\ncontent-length: 64\r\n\r\n\
0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";
const LISTENER: u64 = u64::MAX;
/// The size of one write of a large body, in bytes.
const CHUNK: usize = 256 * 1024;

/// A running upstream. It runs until the process exits.
#[derive(Debug)]
pub(crate) struct Upstream {
    port: u16,
}

impl Upstream {
    /// Starts an upstream on the calling thread's core.
    pub(crate) fn start() -> Result<Self> {
        let listener = crate::port::listener(Ipv4Addr::UNSPECIFIED, 0)?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        thread::Builder::new().name("upstream".into()).spawn(move || {
            if let Err(error) = serve(&listener) {
                eprintln!("bench: the upstream failed: {error:#}");
                std::process::abort();
            }
        })?;
        Ok(Self { port })
    }

    /// Returns three of its addresses, for a small pool.
    pub(crate) fn three_endpoints(&self) -> Vec<SocketAddr> {
        (1..=3).map(|last| (Ipv4Addr::new(127, 0, 0, last), self.port).into()).collect()
    }

    /// Returns `count` of its addresses. A proxy takes each for a separate endpoint.
    pub(crate) fn endpoints(&self, count: u16) -> Vec<SocketAddr> {
        let address = |n: u16| Ipv4Addr::new(127, 1, (n / 250) as u8, (n % 250 + 1) as u8);
        (0..count).map(|n| (address(n), self.port).into()).collect()
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// The bytes of an incomplete head, or after an upgrade of an incomplete frame.
    partial: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Head,
    /// The number of body bytes still to receive.
    Upload(u64),
    /// The number of body bytes still to send.
    Download(u64),
    Frames,
}

fn serve(listener: &TcpListener) -> Result<()> {
    let mut poller = Poller::new()?;
    poller.add(listener, LISTENER)?;
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut next = 0_u64;
    let mut ready = Vec::new();
    let mut buffer = vec![0; CHUNK];
    let zeros = vec![b'.'; CHUNK];
    loop {
        poller.wait(None, &mut ready)?;
        for &token in &ready {
            if token == LISTENER {
                loop {
                    match listener.accept() {
                        Ok((stream, _)) => {
                            stream.set_nonblocking(true)?;
                            stream.set_nodelay(true)?;
                            poller.add(&stream, next)?;
                            let state = State::Head;
                            connections.insert(next, Connection { stream, partial: Vec::new(), state });
                            next += 1;
                        }
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                        Err(error) => return Err(error).context("accept"),
                    }
                }
            } else if let Some(connection) = connections.get_mut(&token)
                && connection.advance(&mut buffer, &zeros).is_err()
            {
                connections.remove(&token);
            }
        }
    }
}

impl Connection {
    /// Does all work that is possible without blocking. On an error, which includes the end of the stream, the caller
    /// closes the connection.
    fn advance(&mut self, buffer: &mut [u8], zeros: &[u8]) -> std::io::Result<()> {
        loop {
            if let State::Download(left) = &mut self.state {
                while *left > 0 {
                    let piece = zeros.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    match self.stream.write(&zeros[..piece]) {
                        Ok(written) => *left -= written as u64,
                        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                        Err(error) => return Err(error),
                    }
                }
                self.state = State::Head;
            }
            let length = match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let full = length == buffer.len();
            self.receive(&buffer[..length])?;
            // A read that did not fill the buffer emptied the socket, and the poller reports bytes that arrive later.
            // An end of stream that arrived with these bytes is not reported again; the next write fails on it.
            if !full && !matches!(self.state, State::Download(_)) {
                return Ok(());
            }
        }
    }

    fn receive(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.state {
            State::Upload(left) => {
                *left = left.saturating_sub(bytes.len() as u64);
                if *left == 0 {
                    self.state = State::Head;
                    self.stream.write_all(SMALL)?;
                }
                Ok(())
            }
            State::Frames => {
                self.partial.extend_from_slice(bytes);
                let mut echoed = Vec::new();
                while let Some(used) = websocket::echo(&self.partial, &mut echoed) {
                    self.partial.drain(..used);
                }
                self.stream.write_all(&echoed)
            }
            State::Head | State::Download(_) => {
                // Nearly always, one read returns exactly one complete head.
                if self.partial.is_empty()
                    && let Some(length) = head_length(bytes)
                {
                    return self.respond(&bytes[..length], &bytes[length..]);
                }
                self.partial.extend_from_slice(bytes);
                if let Some(length) = head_length(&self.partial) {
                    let all = std::mem::take(&mut self.partial);
                    return self.respond(&all[..length], &all[length..]);
                }
                Ok(())
            }
        }
    }

    fn respond(&mut self, head: &[u8], rest: &[u8]) -> std::io::Result<()> {
        if let Some(size) = head.strip_prefix(b"GET /bytes/") {
            let digits = size.iter().take_while(|byte| byte.is_ascii_digit());
            let size = digits.fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
            write!(self.stream, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {size}\r\n\r\n")?;
            self.state = State::Download(size);
            return Ok(());
        }
        if head.starts_with(b"GET /websocket") {
            self.state = State::Frames;
            self.stream.write_all(websocket::ACCEPTANCE)?;
            return if rest.is_empty() { Ok(()) } else { self.receive(rest) };
        }
        if head.starts_with(b"POST") || head.starts_with(b"PUT") {
            let length = content_length(head).ok_or(ErrorKind::InvalidData)?;
            if length > rest.len() as u64 {
                self.state = State::Upload(length - rest.len() as u64);
                return Ok(());
            }
        }
        self.stream.write_all(SMALL)
    }
}

fn head_length(bytes: &[u8]) -> Option<usize> {
    if bytes.ends_with(b"\r\n\r\n") && bytes.starts_with(b"GET ") {
        return Some(bytes.len());
    }
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn content_length(head: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(head).ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}
