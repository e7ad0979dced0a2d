//! Rewrites the head of a message as a proxy must. Pure: parsed fields go in, the bytes of a new head come out.
//!
//! There are two passes over the fields, one that reads and one that writes, and no map between them. Hop-by-hop fields
//! are removed (RFC 9110 section 7.6.1) before the edge adds its own. In the opposite order a client could name
//! `X-Forwarded-For` in `Connection` and have it removed (CVE-2024-45410).

mod client;
mod name;
pub mod request;
pub mod response;

pub use self::{client::Client, name::Name};
use crate::protocol::h1::head::Field;

/// The options in all `Connection` fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// `close`
    pub close: bool,
    /// `keep-alive`
    pub keep_alive: bool,
    /// `upgrade`
    pub upgrade: bool,
    /// It names other fields.
    names: bool,
}

impl ConnectionOptions {
    fn add(&mut self, value: &[u8]) {
        for token in tokens(value) {
            let is = |known: &str| token.eq_ignore_ascii_case(known.as_bytes());
            if is("close") {
                self.close = true;
            } else if is("keep-alive") {
                self.keep_alive = true;
            } else if is("upgrade") {
                self.upgrade = true;
            } else if !token.is_empty() {
                self.names = true;
            }
        }
    }

    /// Whether `Connection` names this field of `fields`. Framing and routing fields are the edge's decision, whatever
    /// `Connection` names.
    fn names(self, fields: &[Field<'_>], name: &str) -> bool {
        self.names
            && fields
                .iter()
                .filter(|field| Name::of(field.name.as_bytes()) == Name::Connection)
                .flat_map(|field| tokens(field.value))
                .any(|token| token.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// Returns the elements of a list field.
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
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

/// Writes the trailers that may be passed on: those that `Trailer` announced, except fields about framing, routing or the
/// sender (RFC 9110 section 6.5.1).
pub fn write_trailers(out: &mut Vec<u8>, announced: &str, trailers: &[Field<'_>]) {
    for field in trailers {
        let named = tokens(announced.as_bytes()).any(|name| name.eq_ignore_ascii_case(field.name.as_bytes()));
        if named && is_trailer(field.name) {
            write_field(out, field.name, field.value);
        }
    }
}

/// Whether a field of this name may be a trailer.
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
    fn a_trailer_is_passed_on_if_it_was_announced_and_harmless() {
        let mut out = Vec::new();
        let trailers =
            fields(&[("X-Sum", "1"), ("X-Other", "2"), ("Host", "evil"), ("Content-Type", "x"), ("Via", "y")]);
        write_trailers(&mut out, "x-sum, host,content-type , via", &trailers);
        assert_eq!(String::from_utf8(out).unwrap(), "X-Sum: 1\r\n");
    }
}
