//! What is wrong with a configuration, told so that it can be put right at once: where, what, and
//! what to write instead. All of it together, not one complaint for each start.

use std::{fmt, io, path::PathBuf};

use super::Config;

/// A configuration that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration, every default filled in.
    pub config: Config,
    /// What is allowed but hardly meant, such as a pool that no route names. For the log.
    pub warnings: Vec<Problem>,
}

/// Why there is no configuration. Its text is ready to print; one line for each problem.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What it says makes no sense; at least one problem, in the order of the file.
    #[error("{}", Lines(.0))]
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
pub enum Place {
    /// In a configuration file.
    File {
        /// The file, as it was named to the edge.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Character in the line, from 1.
        column: usize,
        /// The key with its sections, such as `pool.web.health.interval`; empty for a syntax error.
        key: String,
    },
    /// On the command line or in the environment, by name: `--listen` or `EDGE_LISTEN`.
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

/// `problems`, one to a line.
struct Lines<'a>(&'a [Problem]);

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

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["web", "api", "interval", "timeout"];
        for (word, meant) in [
            ("wbe", Some("web")),
            ("intervall", Some("interval")),
            ("tiemout", Some("timeout")),
            ("web2api", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
