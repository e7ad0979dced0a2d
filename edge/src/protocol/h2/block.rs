//! Checks the fields of a header block as HTTP/1 does, and writes them anew if that is necessary.

use std::ops::ControlFlow;

use http::uri::Authority;

use super::{
    fault::{Answer, Fault},
    hpack::write_literal,
    mark::Token,
};
use crate::protocol::h1::head::MAX_TARGET;

/// The overhead of a field in the size of a header list, in bytes (RFC 9113 section 6.5.2).
const OVERHEAD: usize = 32;
/// A list larger than this many times the allowed size ends the connection, as in h2. A client makes the edge
/// decode it with few bytes ("HPACK bomb").
const ABUSE: usize = 4;
/// More than [`Block::rewrite`] adds to the size of a list: three missing pseudo-header fields, and a mark.
pub(super) const MAX_ADDED: usize = 256;
/// The longest `content-length` that h2 accepts, in digits.
const MAX_DIGITS: usize = 19;
/// The longest name that the `http` crate accepts.
const MAX_NAME: usize = 65_535;
/// The method and path in the log of a request that has none, or more than one.
const UNKNOWN: [(&[u8], &[u8]); 3] = [(b":method", b"-"), (b":scheme", b"http"), (b":path", b"/")];

/// The kind of a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It begins a stream.
    Request,
    /// It ends one.
    Trailers,
}

/// The header block of one stream while it is decoded.
#[derive(Debug)]
pub(super) struct Block {
    role: Role,
    /// The maximum size of the list.
    max: usize,
    /// The size so far (RFC 9113 section 6.5.2).
    size: usize,
    fault: Option<Fault>,
    seen: Seen,
    /// The path, if h2 would refuse it and HTTP/1 does not.
    path: Option<Vec<u8>>,
    /// The length of the body, if the client announces it.
    length: Option<u64>,
    /// The valid fields, written anew. `content-length` is not yet among them.
    written: Vec<u8>,
}

/// What a block had so far.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    method: bool,
    connect: bool,
    scheme: bool,
    authority: bool,
    path: bool,
    /// A field that is no pseudo-header field.
    regular: bool,
}

impl Block {
    /// Begins a block. `memory` is used for its fields.
    pub(super) fn new(role: Role, max: usize, mut memory: Vec<u8>) -> Self {
        memory.clear();
        let seen = Seen::default();
        Self { role, max, size: 0, fault: None, seen, path: None, length: None, written: memory }
    }

    /// Adds a field. Breaks if the fields are so many that the connection has to end.
    pub(super) fn add(&mut self, name: &[u8], value: &[u8]) -> ControlFlow<()> {
        self.size = self.size.saturating_add(name.len() + value.len() + OVERHEAD);
        if self.size > self.max.saturating_mul(ABUSE) {
            return ControlFlow::Break(());
        }
        if name.first() == Some(&b':') {
            match self.pseudo(name, value) {
                Ok(value) => write_literal(&mut self.written, name, value),
                Err(fault) => self.fail(fault),
            }
            return ControlFlow::Continue(());
        }
        self.seen.regular = true;
        match regular(name, value) {
            Err(fault) => self.fail(fault),
            Ok(()) if self.size > self.max => self.fail(Fault::TooLarge),
            Ok(()) if self.role == Role::Request && name == b"content-length" => self.content_length(value),
            Ok(()) => write_literal(&mut self.written, name, value),
        }
        ControlFlow::Continue(())
    }

    /// Notes a fault. One that demands a reset is kept before others.
    pub(super) fn fail(&mut self, fault: Fault) {
        let more_severe = |old: Fault| old.answer() != Answer::Reset && fault.answer() == Answer::Reset;
        if self.fault.is_none_or(more_severe) {
            self.fault = Some(fault);
        }
    }

    /// Checks what only the whole block shows. `ends_stream` is whether no body follows.
    pub(super) fn end(&mut self, ends_stream: bool) {
        let Seen { method, connect, scheme, path, .. } = self.seen;
        // A CONNECT has neither scheme nor path (RFC 9113 section 8.5).
        if self.role == Role::Request && !(method && scheme != connect && path != connect) && self.fault.is_none() {
            self.fail(Fault::PseudoField);
        }
        // A CONNECT has no body either (RFC 9110 section 9.3.6); for its length, h2 would end the connection.
        if (ends_stream || connect) && self.length.is_some_and(|length| length > 0) {
            self.fail(Fault::Length);
        }
    }

    /// Whether h2 understands the block as it came.
    pub(super) fn is_fine(&self) -> bool {
        self.fault.is_none() && self.path.is_none()
    }

    /// Returns the block without compression and with a mark, if it needs one. h2 accepts it.
    pub(super) fn rewrite(mut self, token: &Token) -> Vec<u8> {
        // With a fault there is no use for it, and h2 would compare it with the body.
        if let (None, Some(length)) = (self.fault, self.length) {
            write_literal(&mut self.written, b"content-length", length.to_string().as_bytes());
        }
        match (self.fault, &self.path) {
            (None, None) => {}
            (None, Some(path)) => {
                let (name, value) = token.path(path);
                write_literal(&mut self.written, name, &value);
            }
            (Some(fault), _) => {
                self.complete();
                let (name, value) = token.refuse(fault);
                write_literal(&mut self.written, name, &value);
            }
        }
        self.written
    }

    /// Returns the memory for the next block.
    pub(super) fn into_memory(self) -> Vec<u8> {
        self.written
    }

    /// Notes `content-length`. h2 checks it as well, but resets the stream where HTTP/1 responds.
    fn content_length(&mut self, value: &[u8]) {
        match number(value) {
            Some(length) if self.length.is_none_or(|earlier| earlier == length) => self.length = Some(length),
            _ => self.fail(Fault::Length),
        }
    }

    /// Makes a faulty request one that h2 accepts.
    fn complete(&mut self) {
        if self.role == Role::Trailers {
            return;
        }
        let Seen { method, connect, scheme, path, .. } = self.seen;
        if connect {
            self.written.clear();
        }
        let missing = [!method || connect, !scheme || connect, !path || connect];
        let mut begin = Vec::new();
        for ((name, value), missing) in UNKNOWN.into_iter().zip(missing) {
            if missing {
                write_literal(&mut begin, name, value);
            }
        }
        if !begin.is_empty() {
            begin.append(&mut self.written);
            self.written = begin;
        }
    }

    /// Checks a pseudo-header field and returns the value that h2 gets.
    fn pseudo<'a>(&mut self, name: &[u8], value: &'a [u8]) -> Result<&'a [u8], Fault> {
        let seen = match name {
            b":method" => &mut self.seen.method,
            b":scheme" => &mut self.seen.scheme,
            b":authority" => &mut self.seen.authority,
            b":path" => &mut self.seen.path,
            // `:protocol` needs a setting that the edge does not announce (RFC 8441), `:status` is of responses.
            _ => return Err(Fault::PseudoField),
        };
        if *seen || self.seen.regular || self.role == Role::Trailers {
            return Err(Fault::PseudoField);
        }
        // An empty path is one that is missing (RFC 9113 section 8.3.1).
        if name == b":path" && value.is_empty() {
            return Err(Fault::PseudoField);
        }
        match name {
            b":method" if !is_token(value) => Err(Fault::Method),
            b":scheme" if !is_scheme(value) => Err(Fault::Scheme),
            b":authority" if !is_authority(value) => Err(Fault::Authority),
            b":path" if value.len() > MAX_TARGET => Err(Fault::PathTooLong),
            b":path" if !is_path(value) => Err(Fault::Path),
            _ if self.size > self.max => Err(Fault::TooLarge),
            _ => {
                *seen = true;
                if name == b":method" {
                    self.seen.connect = value == b"CONNECT";
                }
                if name == b":path" && !is_simple(value) {
                    self.path = Some(value.to_vec());
                    return Ok(b"/");
                }
                Ok(value)
            }
        }
    }
}

/// Checks a field that is no pseudo-header field, like the parser of HTTP/1 and RFC 9113 section 8.2.
fn regular(name: &[u8], value: &[u8]) -> Result<(), Fault> {
    if !is_token(name) || name.len() > MAX_NAME {
        return Err(Fault::Name);
    }
    if name.iter().any(u8::is_ascii_uppercase) {
        return Err(Fault::UpperCase);
    }
    let of_connection = match name {
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => true,
        b"te" => value != b"trailers",
        _ => false,
    };
    if of_connection {
        return Err(Fault::ConnectionField);
    }
    if value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..)) { Ok(()) } else { Err(Fault::Value) }
}

/// Parses a `content-length` that h2 accepts.
fn number(value: &[u8]) -> Option<u64> {
    let is_number = (1..=MAX_DIGITS).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    str::from_utf8(value).ok().filter(|_| is_number)?.parse().ok()
}

/// Whether this is a token (RFC 9110 section 5.6.2).
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// Whether h2 accepts a scheme, whose length the `http` crate limits.
fn is_scheme(value: &[u8]) -> bool {
    (1..=64).contains(&value.len()) && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

/// Whether h2 accepts an authority. Most need no parser.
fn is_authority(value: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    let (host, port) = match value.iter().position(|byte| *byte == b':') {
        Some(at) => value.split_at(at),
        None => (value, &b""[..]),
    };
    let is_port = port.is_empty() || (port.len() > 1 && port.iter().skip(1).all(u8::is_ascii_digit));
    (!host.is_empty() && host.iter().all(plain) && is_port) || Authority::try_from(value).is_ok()
}

/// Whether HTTP/1 would accept the path: [`crate::protocol::h1::head`] has the same rules.
fn is_path(value: &[u8]) -> bool {
    (value.first() == Some(&b'/') || value == b"*")
        && value.iter().all(|byte| matches!(byte, b'!'..=b'~' | 0x80..) && *byte != b'#')
        && (value.is_ascii() || str::from_utf8(value).is_ok())
}

/// Whether h2 accepts a path too. The set is smaller than that of the `http` crate, so that it may change.
fn is_simple(path: &[u8]) -> bool {
    path.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~?=&%+,;:@!$'()*".contains(byte))
}

#[cfg(test)]
mod tests;
