//! What is wrong with the file. Each problem has the place, the mistake and a fix, and all problems are reported
//! together.

use std::{io, path::PathBuf};

use settings::Lines;
pub use settings::{Place, Problem};

/// Why there are no settings. Its text is ready to print, with one line for each problem.
#[derive(Debug, thiserror::Error)]
pub enum Problems {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is invalid. It has at least one problem, in the order of the file.
    #[error("{}", Lines(.0))]
    Invalid(Vec<Problem>),
}
