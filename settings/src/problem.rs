//! A problem with a setting: its place, what is wrong, and what to write instead.

use std::fmt;

/// One error, or one warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the setting is written.
    pub place: Place,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Where a setting is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a configuration file.
    File {
        /// The file's path as the program got it.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Character in the line, from 1.
        column: usize,
        /// The key with its sections, such as `pool.web.health.interval`; empty for a syntax error.
        key: String,
    },
    /// On the command line or in the environment, by name, such as `--listen` or `EDGE_LISTEN`.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column, key } => {
                write!(f, "{file}:{line}:{column}")?;
                if key.is_empty() { Ok(()) } else { write!(f, ": {key}") }
            }
            Self::Flag(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Displays problems, one per line.
#[derive(Debug)]
pub(crate) struct Lines<'a>(pub(crate) &'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// Returns the word of `known` that `word` most likely misspells; `None` if none is similar.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A misspelling takes one or two edits; in a short word two edits make another word.
    let most = if word.chars().count() <= 4 { 1 } else { 2 };
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|&(distance, _)| distance <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelling_is_recognized_and_a_different_word_is_not() {
        let known = ["web", "api", "interval", "timeout"];
        for (word, expected) in [
            ("wbe", Some("web")),
            ("intervall", Some("interval")),
            ("tiemout", Some("timeout")),
            ("web2api", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
    }
}
