//! Rewrites the head of a message as a proxy must. Pure: parsed fields go in, the bytes of a new head come out.
//!
//! There are two passes over the fields, one that reads and one that writes, and no map between them. Hop-by-hop fields
//! are removed (RFC 9110 section 7.6.1) before the edge adds its own. In the opposite order a client could name
//! `X-Forwarded-For` in `Connection` and have it removed (CVE-2024-45410). For the same reason no name in `Connection`
//! removes what a trusted proxy describes: it may have passed on the `Connection` of its client.

mod client;
pub mod edits;
#[cfg(test)]
mod growth;
mod name;
pub mod request;
pub mod response;

pub use self::{client::Client, name::Name};
use crate::protocol::{h1::head::Field, steps};

/// The most fields that `Connection` may name. Each is compared with each field of the head, so a head full of names
/// would cost as much as thousands of requests; senders name one or two.
const MAX_NAMED: usize = 32;

/// The most elements of `Connection`, for each is compared with those before it.
const MAX_TOKENS: usize = 256;

/// The options in all `Connection` fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionOptions<'a> {
    /// `close`
    pub close: bool,
    /// `keep-alive`
    pub keep_alive: bool,
    /// `upgrade`
    pub upgrade: bool,
    /// The fields that it names, at most [`MAX_NAMED`], each once. None is about forwarding.
    named: Vec<&'a [u8]>,
    tokens: usize,
}

/// `Connection` names more than [`MAX_NAMED`] fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct TooManyNames;

impl<'a> ConnectionOptions<'a> {
    fn add(&mut self, value: &'a [u8]) -> Result<(), TooManyNames> {
        for token in tokens(value) {
            self.tokens += 1;
            if self.tokens > MAX_TOKENS {
                return Err(TooManyNames);
            }
            let is = |known: &str| token.eq_ignore_ascii_case(known.as_bytes());
            if is("close") {
                self.close = true;
            } else if is("keep-alive") {
                self.keep_alive = true;
            } else if is("upgrade") {
                self.upgrade = true;
            } else if !token.is_empty() && !Name::of(token).is_forwarding() && !self.names(token) {
                if self.named.len() == MAX_NAMED {
                    return Err(TooManyNames);
                }
                self.named.push(token);
            }
        }
        Ok(())
    }

    /// Whether `Connection` names this field. Framing, routing and forwarding fields are the edge's decision, whatever
    /// `Connection` names.
    fn names(&self, name: &[u8]) -> bool {
        self.named.iter().inspect(|_| steps::count()).any(|named| named.eq_ignore_ascii_case(name))
    }
}

/// Returns the elements of a list field.
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').inspect(|_| steps::count()).map(<[u8]>::trim_ascii)
}

pub(crate) fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes `Content-Length` or `Transfer-Encoding` for a body of this framing.
fn write_framing(out: &mut Vec<u8>, framing: crate::protocol::h1::framing::Framing) {
    use crate::protocol::h1::framing::Framing;
    match framing {
        Framing::None | Framing::Close => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            write_number(out, length);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
}

/// Writes the trailers that may be passed on, whether `Trailer` announced them or not: announcing them is optional (RFC
/// 9110 section 6.6.2), and gRPC's never are.
pub fn write_trailers(out: &mut Vec<u8>, trailers: &[Field<'_>]) {
    for field in trailers.iter().filter(|field| is_trailer(field.name)) {
        write_field(out, field.name, field.value);
    }
}

/// Whether a field of this name may be a trailer: it must not be about framing, routing or the sender (RFC 9110 section
/// 6.5.1), since a recipient may merge it into the head.
#[must_use]
pub fn is_trailer(name: &str) -> bool {
    const FORBIDDEN: [&str; 10] = [
        "authorization",
        "cache-control",
        "content-encoding",
        "content-range",
        "content-type",
        "location",
        "max-forwards",
        "range",
        "set-cookie",
        "www-authenticate",
    ];
    Name::of(name.as_bytes()) == Name::Other && !FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Returns fields as a parser returns them.
    pub(crate) fn fields<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<Field<'a>> {
        pairs.iter().map(|(name, value)| Field { name, value: value.as_bytes() }).collect()
    }

    #[test]
    fn harmless_trailers_are_passed_on() {
        let mut out = Vec::new();
        let trailers = fields(&[
            ("X-Sum", "1"),
            ("grpc-status", "0"),
            ("Host", "evil"),
            ("Content-Type", "x"),
            ("Via", "y"),
            ("X-Forwarded-Ssl", "on"),
            ("content_length", "1"),
        ]);
        write_trailers(&mut out, &trailers);
        assert_eq!(String::from_utf8(out).unwrap(), "X-Sum: 1\r\ngrpc-status: 0\r\n");
    }

    #[test]
    fn connection_names_a_bounded_number_of_fields_however_often() {
        let names = |count: usize| (0..count).map(|name| format!("x-{name}")).collect::<Vec<_>>().join(",");
        let (most, more, same) = (names(MAX_NAMED), names(MAX_NAMED + 1), "a,A,close,".repeat(80));
        let mut options = ConnectionOptions::default();
        assert_eq!(options.add(most.as_bytes()), Ok(()));
        assert!(options.names(b"X-31") && !options.names(b"x-32"));
        assert_eq!(ConnectionOptions::default().add(more.as_bytes()), Err(TooManyNames));
        let mut options = ConnectionOptions::default();
        assert_eq!(options.add(same.as_bytes()), Ok(()));
        assert_eq!((options.named.len(), options.close), (1, true));
        assert_eq!(ConnectionOptions::default().add(same.repeat(2).as_bytes()), Err(TooManyNames));
    }
}
