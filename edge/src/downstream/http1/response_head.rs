//! The head of a response, as it is written for the client.

use crate::{
    protocol::{
        h1::framing::Framing,
        headers::response::{self, Persistence},
    },
    upstream::connection,
};

/// What the client was sent in the head of a response.
pub(super) struct ResponseHead {
    pub(super) status: u16,
    pub(super) chunked: bool,
    /// The body may pass through a pipe.
    pub(super) may_pipe: bool,
    /// The body ends with the connection.
    pub(super) until_close: bool,
    /// The connection closes after the response.
    pub(super) close: bool,
}

/// Writes the head of an endpoint's response for the client.
pub(super) fn write(
    out: &mut Vec<u8>,
    head: &connection::ResponseHead<'_>,
    is_http10: bool,
    close: bool,
    date: &str,
) -> ResponseHead {
    let status = head.parts.status;
    let client_framing = head.client_framing();
    // HTTP/1.0 has no chunks: only the end of the connection can end the body.
    let until_close = is_http10 && client_framing == Framing::Chunked;
    let (framing, close) = if until_close { (Framing::Close, true) } else { (client_framing, close) };
    let persistence = if status == 101 { Persistence::Upgrade } else { persistence(is_http10, close) };
    let line = response::StatusLine { status, reason: head.parts.reason, framing, persistence, date };
    response::write(out, &line, head.parts.fields, head.summary);
    let chunked = framing == Framing::Chunked;
    ResponseHead { status, chunked, may_pipe: !chunked, until_close, close }
}

/// Returns what a response must say about the connection.
pub(super) fn persistence(is_http10: bool, close: bool) -> Persistence {
    match (is_http10, close) {
        (_, true) => Persistence::Close,
        (true, false) => Persistence::KeepAlive,
        (false, false) => Persistence::Stays,
    }
}
