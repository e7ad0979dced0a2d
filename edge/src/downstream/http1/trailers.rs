//! Trailers of a chunked body: which may be forwarded, and their lines.

use crate::protocol::{
    h1::{body::Reader, framing::Framing, head},
    headers::write_trailers,
};

/// Returns the `Trailer` field of a message, if its framing allows trailers.
pub(super) fn announced(trailer: Option<&[u8]>, framing: Framing) -> Option<Box<str>> {
    let trailer = trailer.filter(|_| framing == Framing::Chunked)?;
    str::from_utf8(trailer).ok().map(Box::from)
}

/// Returns the lines of a body's trailers that may be forwarded.
pub(super) fn lines(body: &Reader, announced: Option<&str>) -> Vec<u8> {
    let mut lines = Vec::new();
    if let Some(announced) = announced
        && !body.trailers().is_empty()
    {
        // Malformed trailers are left out, like unannounced ones.
        head::trailers(body.trailers(), |fields| write_trailers(&mut lines, announced, fields)).ok();
    }
    lines
}
