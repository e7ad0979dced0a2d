//! What is wrong with the file, told so that it can be put right at once: where, what, and what to write
//! instead. All of it together.

use std::{io, path::PathBuf};

use settings::Lines;
pub use settings::{Place, Problem};

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
    #[error("{}", Lines(.0))]
    Invalid(Vec<Problem>),
}
