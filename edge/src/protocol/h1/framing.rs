//! Where a body ends (RFC 9112 section 6.3). Two who disagree on it see different requests, so what can
//! be read in two ways is refused.

use crate::error::Kind;

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes, at least one.
    Length(u64),
    /// A last chunk ends it.
    Chunked,
    /// The end of the connection ends it. Answers only.
    Close,
}

/// What `Content-Length` and `Transfer-Encoding` say, gathered field by field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// What all `Content-Length` fields agree on.
    length: Option<u64>,
    /// `Some(true)` for just `chunked`, `Some(false)` for anything else.
    chunked: Option<bool>,
}

/// The fields contradict each other or themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction;

impl Lengths {
    /// Takes in a `Content-Length` field. A list of equal numbers counts as one (section 6.3).
    ///
    /// # Errors
    /// When it is no number, too large a one, or another than before.
    pub fn content_length(&mut self, value: &[u8]) -> Result<(), Contradiction> {
        for number in value.split(|byte| *byte == b',') {
            let number = decimal(number.trim_ascii()).ok_or(Contradiction)?;
            if self.length.is_some_and(|before| before != number) {
                return Err(Contradiction);
            }
            self.length = Some(number);
        }
        Ok(())
    }

    /// Takes in a `Transfer-Encoding` field. Only `chunked`, once and alone, is understood: no client
    /// sends another coding, and one that is passed over would change the body.
    pub fn transfer_encoding(&mut self, value: &[u8]) {
        let chunked = self.chunked.is_none() && value.eq_ignore_ascii_case(b"chunked");
        self.chunked = Some(chunked);
    }

    /// The number of bytes that was announced, whether or not it counts.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        self.length
    }

    /// Both were there: whoever reads the message all the same closes behind it (section 6.1).
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.chunked.is_some() && self.length.is_some()
    }

    /// How the body of a request ends. `encodings` says whether its version has transfer encodings at
    /// all: one in HTTP/1.0 makes the framing faulty (section 6.1).
    ///
    /// # Errors
    /// [`Kind::BadRequest`] for an encoding that is not understood.
    pub fn of_request(&self, encodings: bool) -> Result<Framing, Kind> {
        match (self.chunked, self.length) {
            (Some(true), _) if encodings => Ok(Framing::Chunked),
            (Some(_), _) => Err(Kind::BadRequest),
            (None, None | Some(0)) => Ok(Framing::None),
            (None, Some(length)) => Ok(Framing::Length(length)),
        }
    }

    /// How the body of an answer ends. `bodiless` is for an answer to HEAD and for a status that never
    /// has a body.
    ///
    /// # Errors
    /// [`Kind::UpstreamInvalid`] for an encoding that is not understood: its bytes are not the content.
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

/// Digits and nothing else (RFC 9110 section 8.6), of a number that fits.
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
    fn a_request_ends_where_everybody_would_say_it_does_or_is_refused() {
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
    fn an_answer_without_a_length_ends_with_the_connection() {
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
    fn two_ways_to_end_are_doubtful() {
        assert!(lengths(&[("te", "chunked"), ("cl", "5")]).unwrap().is_doubtful());
        assert!(!lengths(&[("te", "chunked")]).unwrap().is_doubtful());
        assert!(!lengths(&[("cl", "5")]).unwrap().is_doubtful());
    }
}
