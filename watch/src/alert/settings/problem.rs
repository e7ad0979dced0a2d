//! What is wrong with the file, told so that it can be put right at once: where, what, and what to write
//! instead. All of it together.

use std::{fmt, io, path::PathBuf};

/// Why there are no settings. Its text is ready to print; one line for each problem.
#[derive(Debug, thiserror::Error)]
pub enum Problems {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What it says makes no sense; at least one problem, in the order of the file.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Problem>),
}

/// One thing that is wrong, or odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is written.
    pub place: Place,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Where a setting is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Character in the line, from 1.
    pub column: usize,
    /// The key with its sections, such as `mail.port`; empty for a syntax error.
    pub key: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, column, key } = &self.place;
        write!(f, "{file}:{line}:{column}: ")?;
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// The one of `known` that was most likely meant by `word`; none if nothing comes near.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A typing slip costs one or two edits; in a short word two edits make another word.
    let slips = if word.chars().count() <= 4 { 1 } else { 2 };
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|&(distance, _)| distance <= slips)
        .min()
        .map(|(_, candidate)| candidate)
}
