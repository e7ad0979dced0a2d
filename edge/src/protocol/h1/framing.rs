//! The end of a body (RFC 9112 section 6.3). Two recipients that disagree about it see different requests, so ambiguous
//! messages are rejected.

use crate::{error::Kind, protocol::steps};

/// What ends a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// The number of bytes, at least one.
    Length(u64),
    /// The last chunk ends it.
    Chunked,
    /// The end of the connection ends it. Responses only.
    Close,
}

/// The values of `Content-Length` and `Transfer-Encoding`, collected field by field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// The value of all `Content-Length` fields.
    length: Option<u64>,
    /// `Some(true)` for exactly `chunked`, `Some(false)` for anything else.
    chunked: Option<bool>,
}

/// The fields contradict each other or themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction;

impl Lengths {
    /// Adds a `Content-Length` field. A list of equal numbers counts as one (section 6.3).
    ///
    /// # Errors
    /// The value is not a number, too large, or differs from an earlier one.
    pub fn content_length(&mut self, value: &[u8]) -> Result<(), Contradiction> {
        for number in value.split(|byte| *byte == b',') {
            steps::count();
            let number = decimal(number.trim_ascii()).ok_or(Contradiction)?;
            if self.length.is_some_and(|before| before != number) {
                return Err(Contradiction);
            }
            self.length = Some(number);
        }
        Ok(())
    }

    /// Adds a `Transfer-Encoding` field. Only a single `chunked` is supported: clients send no other coding, and
    /// ignoring one would change the body.
    pub fn transfer_encoding(&mut self, value: &[u8]) {
        let chunked = self.chunked.is_none() && value.eq_ignore_ascii_case(b"chunked");
        self.chunked = Some(chunked);
    }

    /// The declared number of bytes, even if another field overrides it.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        self.length
    }

    /// Whether both fields were present. A recipient that accepts such a message must close the connection after it
    /// (section 6.1).
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.chunked.is_some() && self.length.is_some()
    }

    /// Returns the framing of a request body. `encodings` is whether the version supports transfer encodings: in
    /// HTTP/1.0 one makes the framing faulty (section 6.1).
    ///
    /// # Errors
    /// [`Kind::BadRequest`] for an unsupported encoding.
    pub fn of_request(&self, encodings: bool) -> Result<Framing, Kind> {
        match (self.chunked, self.length) {
            (Some(true), _) if encodings => Ok(Framing::Chunked),
            (Some(_), _) => Err(Kind::BadRequest),
            (None, None | Some(0)) => Ok(Framing::None),
            (None, Some(length)) => Ok(Framing::Length(length)),
        }
    }

    /// Returns the framing of a response body. `bodiless` is true for a response to HEAD and for a status that never
    /// has a body.
    ///
    /// # Errors
    /// [`Kind::UpstreamInvalid`] for an unsupported encoding: the bytes are not the content.
    pub fn of_response(&self, bodiless: bool, encodings: bool) -> Result<Framing, Kind> {
        if bodiless {
            return Ok(Framing::None);
        }
        Ok(match (self.chunked, self.length) {
            (Some(true), _) if encodings => Framing::Chunked,
            (Some(_), _) if encodings => return Err(Kind::UpstreamInvalid),
            // HTTP/1.0 has no such field.
            (Some(_), _) | (None, None) => Framing::Close,
            (None, Some(0)) => Framing::None,
            (None, Some(length)) => Framing::Length(length),
        })
    }
}

/// Parses digits and nothing else (RFC 9110 section 8.6), unless the number is too large.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let value = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(fields: &[(&str, &str)]) -> Result<Lengths, Contradiction> {
        let mut lengths = Lengths::default();
        for (name, value) in fields {
            match *name {
                "cl" => lengths.content_length(value.as_bytes())?,
                _ => lengths.transfer_encoding(value.as_bytes()),
            }
        }
        Ok(lengths)
    }

    fn of_request(fields: &[(&str, &str)]) -> Result<Framing, Kind> {
        lengths(fields).map_err(|_| Kind::BadRequest)?.of_request(true)
    }

    #[test]
    fn a_request_has_an_unambiguous_end_or_is_rejected() {
        let bad = Err(Kind::BadRequest);
        for (fields, expected) in [
            (&[][..], Ok(Framing::None)),
            (&[("cl", "0")], Ok(Framing::None)),
            (&[("cl", "5")], Ok(Framing::Length(5))),
            (&[("cl", "5"), ("cl", "5")], Ok(Framing::Length(5))),
            (&[("cl", "5, 5")], Ok(Framing::Length(5))),
            (&[("cl", "18446744073709551615")], Ok(Framing::Length(u64::MAX))),
            (&[("te", "chunked")], Ok(Framing::Chunked)),
            (&[("te", "Chunked")], Ok(Framing::Chunked)),
            (&[("te", "chunked"), ("cl", "5")], Ok(Framing::Chunked)),
            (&[("cl", "18446744073709551616")], bad),
            (&[("cl", "")], bad),
            (&[("cl", "5,")], bad),
            (&[("cl", "5, 6")], bad),
            (&[("cl", "5"), ("cl", "6")], bad),
            (&[("cl", "+5")], bad),
            (&[("cl", "-5")], bad),
            (&[("cl", "0x5")], bad),
            (&[("cl", "5 5")], bad),
            (&[("te", "")], bad),
            (&[("te", "gzip")], bad),
            (&[("te", "gzip, chunked")], bad),
            (&[("te", "chunked, chunked")], bad),
            (&[("te", "chunked"), ("te", "chunked")], bad),
            (&[("te", "identity"), ("te", "chunked")], bad),
            (&[("te", "xchunked")], bad),
        ] {
            assert_eq!(of_request(fields), expected, "{fields:?}");
        }
        assert_eq!(lengths(&[("te", "chunked")]).unwrap().of_request(false), bad, "in HTTP/1.0");
    }

    #[test]
    fn a_response_without_a_length_ends_with_the_connection() {
        for (fields, bodiless, expected) in [
            (&[][..], false, Framing::Close),
            (&[], true, Framing::None),
            (&[("cl", "0")], false, Framing::None),
            (&[("cl", "5")], false, Framing::Length(5)),
            (&[("cl", "5")], true, Framing::None),
            (&[("te", "chunked")], false, Framing::Chunked),
            (&[("te", "chunked"), ("cl", "5")], false, Framing::Chunked),
            (&[("te", "gzip")], true, Framing::None),
        ] {
            assert_eq!(lengths(fields).unwrap().of_response(bodiless, true), Ok(expected), "{fields:?}");
        }
        let unknown = lengths(&[("te", "gzip, chunked")]).unwrap();
        assert_eq!(unknown.of_response(false, true), Err(Kind::UpstreamInvalid));
        assert_eq!(unknown.of_response(false, false), Ok(Framing::Close), "in HTTP/1.0");
    }

    #[test]
    fn contradicting_lengths_are_doubtful() {
        assert!(lengths(&[("te", "chunked"), ("cl", "5")]).unwrap().is_doubtful());
        assert!(!lengths(&[("te", "chunked")]).unwrap().is_doubtful());
        assert!(!lengths(&[("cl", "5")]).unwrap().is_doubtful());
    }
}
