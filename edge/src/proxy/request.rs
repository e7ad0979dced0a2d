//! A request as the client sent it, and as an endpoint receives it.

use std::rc::Rc;

use http::Version;

use crate::{
    error::{Error, Kind, Retry},
    protocol::{
        h1::{
            framing::Framing,
            head::{Field, Target},
        },
        headers::{edits::FieldEdits, request::HeaderSummary},
    },
    upstream::{balance::Key, connection::body_writer::BodyWriter, sticky::Tag},
    worker::PoolView,
};

/// The head of a request. Borrows from the bytes that were read.
#[derive(Debug)]
pub struct RequestHead<'a> {
    /// Any method except CONNECT.
    pub method: &'a str,
    /// The target.
    pub target: Target<'a>,
    /// The version of the client.
    pub version: Version,
    /// The fields in the order received.
    pub fields: &'a [Field<'a>],
    /// What the fields mean to a proxy.
    pub summary: &'a HeaderSummary<'a>,
    /// How the body ends; never [`Framing::Close`].
    pub framing: Framing,
}

/// A request that is ready to be sent.
#[derive(Debug)]
pub struct UpstreamRequest {
    /// Writes its head and body.
    pub body: BodyWriter,
    /// The pool that it goes to.
    pub pool: Rc<PoolView>,
    /// The client asks to switch protocols.
    pub upgrade: bool,
    /// The request is HEAD, so the response has no body.
    pub to_head: bool,
    /// Its method allows that it is sent again after an endpoint received some of it, if [`BodyWriter::is_whole`].
    pub idempotent: bool,
    /// What ties it to an endpoint.
    pub affinity: Affinity,
    /// How the route changes the fields of the response; `None` if it does not.
    pub response_edits: Option<Rc<FieldEdits>>,
}

/// What ties a request to an endpoint of its pool.
#[derive(Clone, Debug, Default)]
pub struct Affinity {
    /// The key of consistent hashing; `None` if the pool uses another policy, or the request lacks the field or cookie.
    pub key: Option<Key>,
    /// What the cookie of its session says; `None` if it has none, or the pool sets none.
    pub session: Option<Tag>,
    /// The client uses HTTPS, if the pool sets a cookie.
    pub https: bool,
}

/// Creates an error after which no other endpoint may be tried.
#[must_use]
pub fn never(kind: Kind) -> Error {
    Error::new(kind, Retry::Never)
}
