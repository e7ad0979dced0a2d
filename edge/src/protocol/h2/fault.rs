//! What can be wrong with the header block of one stream, and how the edge responds to it.

use std::fmt;

use crate::error::Kind;

/// What is wrong with a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A name is empty or contains a character that no name may contain.
    Name,
    /// A value contains a control character.
    Value,
    /// `:method` is not a token.
    Method,
    /// `:scheme` contains a character that no scheme may contain.
    Scheme,
    /// `:authority` is not a host with an optional port.
    Authority,
    /// `:path` is neither a path nor `*`, or contains a blank, a control character, `#`, or bytes that are not UTF-8.
    Path,
    /// `:path` is longer than any target may be.
    PathTooLong,
    /// The fields are larger than `limits.max_head`.
    TooLarge,
    /// `content-length` is not a number, contradicts another one, or announces a body for a stream that ends.
    Length,
    /// A name has upper-case letters (RFC 9113 section 8.2).
    UpperCase,
    /// A pseudo-header field is missing, repeated, unknown or in the wrong place (RFC 9113 section 8.3).
    PseudoField,
    /// A connection-specific field, which HTTP/2 does not allow (RFC 9113 section 8.2.2).
    ConnectionField,
    /// The stream depends on itself (RFC 7540 section 5.3.1).
    Dependency,
}

/// How the edge responds to a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With the response to this kind of error.
    Reply(Kind),
    /// With `RST_STREAM` and `PROTOCOL_ERROR`.
    Reset,
}

impl Fault {
    /// Every fault; `fault as usize` is its index here.
    pub const ALL: [Self; 13] = [
        Self::Name,
        Self::Value,
        Self::Method,
        Self::Scheme,
        Self::Authority,
        Self::Path,
        Self::PathTooLong,
        Self::TooLarge,
        Self::Length,
        Self::UpperCase,
        Self::PseudoField,
        Self::ConnectionField,
        Self::Dependency,
    ];

    /// The response. RFC 9113 section 8.1.1 allows both: a response where the content is wrong, as in HTTP/1, and a
    /// reset where the client breaks a rule that HTTP/1 does not have, which h2spec demands.
    #[must_use]
    pub const fn answer(self) -> Answer {
        match self {
            Self::Name | Self::Value | Self::Method | Self::Scheme | Self::Path | Self::Length => {
                Answer::Reply(Kind::BadRequest)
            }
            Self::Authority => Answer::Reply(Kind::BadHost),
            Self::PathTooLong => Answer::Reply(Kind::TargetTooLong),
            Self::TooLarge => Answer::Reply(Kind::HeadTooLarge),
            Self::UpperCase | Self::PseudoField | Self::ConnectionField | Self::Dependency => Answer::Reset,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "a field name has a character that is not allowed",
            Self::Value => "a field value has a control character",
            Self::Method => ":method is malformed",
            Self::Scheme => ":scheme is malformed",
            Self::Authority => ":authority is malformed",
            Self::Path => ":path is malformed",
            Self::PathTooLong => ":path is too long",
            Self::TooLarge => "the fields are too large",
            Self::Length => "content-length is not the length of the body",
            Self::UpperCase => "a field name has upper-case letters",
            Self::PseudoField => "a pseudo-header field is missing, repeated, unknown or misplaced",
            Self::ConnectionField => "a field belongs to HTTP/1 connections only",
            Self::Dependency => "a stream depends on itself",
        })
    }
}
