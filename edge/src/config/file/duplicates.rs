//! Values that must not occur twice.

use std::{collections::HashMap, hash::Hash, ops::Range};

use settings::Section;

/// Reports each value that occurs again, with the line of its first occurrence. `what` names the kind of value in the
/// message.
pub(super) fn report_duplicates<T: Eq + Hash>(
    section: &Section<'_>,
    key: &str,
    what: &str,
    values: impl Iterator<Item = (T, Range<usize>)>,
) {
    let mut seen = HashMap::new();
    for (value, span) in values {
        if let Some(first) = seen.get(&value) {
            let message = format!("the same {what} is in line {} already: take one of them out", section.line(first));
            section.problem_at(&span, key, message);
        } else {
            seen.insert(value, span);
        }
    }
}
