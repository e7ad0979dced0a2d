//! Trailers of a chunked body.

use crate::protocol::{
    h1::{body::Reader, head},
    headers::write_trailers,
};

/// Returns the lines of a body's trailers that may be forwarded.
pub(super) fn lines(body: &Reader) -> Vec<u8> {
    let mut lines = Vec::new();
    if !body.trailers().is_empty() {
        // Malformed trailers are left out, like those that may not be forwarded.
        head::trailers(body.trailers(), |fields| write_trailers(&mut lines, fields)).ok();
    }
    lines
}
