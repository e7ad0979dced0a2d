//! Reports duplicate values.

use std::{collections::HashMap, hash::Hash, ops::Range};

use settings::Section;

/// Reports each value that equals an earlier one, with the line of the first. `what` names the kind of value in the
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
            let message = format!("duplicate {what}, first used on line {}: remove one of them", section.line(first));
            section.problem_at(&span, key, message);
        } else {
            seen.insert(value, span);
        }
    }
}
