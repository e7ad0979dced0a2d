//! A request between its check and its answer: as the client sent it, and as an endpoint gets it.

use std::rc::Rc;

use http::Version;

use crate::{
    error::{Error, Kind, Retry},
    protocol::{
        h1::{
            framing::Framing,
            head::{Field, Target},
        },
        headers::request::HeaderSummary,
    },
    upstream::connection::body_writer::BodyWriter,
    worker::PoolView,
};

/// What a client asks for. Borrows from the head that was read.
#[derive(Debug)]
pub struct RequestHead<'a> {
    /// Any method but CONNECT.
    pub method: &'a str,
    /// What it is about.
    pub target: Target<'a>,
    /// What the client speaks.
    pub version: Version,
    /// As they came.
    pub fields: &'a [Field<'a>],
    /// What they say to a proxy.
    pub summary: &'a HeaderSummary<'a>,
    /// How its body ends; never by [`Framing::Close`].
    pub framing: Framing,
}

/// A request that may be sent.
#[derive(Debug)]
pub struct UpstreamRequest {
    /// Its bytes.
    pub body: BodyWriter,
    /// Where it goes.
    pub pool: Rc<PoolView>,
    /// The client asks to switch protocols.
    pub upgrade: bool,
    /// The response has no body.
    pub to_head: bool,
    /// It may be sent anew after an endpoint has seen it: only without a body, since one on its way is
    /// not held back for it.
    pub replayable: bool,
}

/// An error that no other endpoint can mend.
#[must_use]
pub fn never(kind: Kind) -> Error {
    Error::new(kind, Retry::Never)
}
