//! How large the header blocks are that h2 gets.

use super::{block::MAX_ADDED, frame::MAX_PAYLOAD};

/// The maximum size of a header list that h2 has to accept, and announces as `SETTINGS_MAX_HEADER_LIST_SIZE`, when
/// the client's may have `max_list` bytes. It is larger, so that the inspector finds those that are too large: h2 would
/// answer them itself, without a trace in logs and metrics.
#[must_use]
pub const fn list_of_h2(max_list: usize) -> usize {
    max_list.saturating_add(MAX_ADDED)
}

/// The maximum number of CONTINUATION frames after which a header block goes on. h2 has the same.
pub(super) fn max_continuations(max_list: usize) -> usize {
    let frames = (list_of_h2(max_list) / MAX_PAYLOAD).max(1);
    (frames + frames / 4).max(5)
}
