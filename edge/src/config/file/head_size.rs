//! Reads the maximum size of a head, of a request or of a response.

use std::ops::RangeInclusive;

use settings::Section;

use super::kind;

/// Reads the maximum size of a head.
pub(super) fn head_size(section: &mut Section<'_>, key: &'static str) -> Option<usize> {
    let size = section.get(key, &kind::SIZE).and_then(|bytes| usize::try_from(bytes).ok())?;
    if !HEAD_SIZES.contains(&size) {
        section.problem(key, "is out of range: write a size from \"8KiB\" to \"1MiB\"");
    }
    Some(size)
}

/// The allowed sizes of a head in bytes. hyper rejects a buffer below 8 KiB.
const HEAD_SIZES: RangeInclusive<usize> = 8 * 1024..=1024 * 1024;
