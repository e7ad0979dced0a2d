//! What is wrong with a configuration, told so that it can be put right at once: where, what, and
//! what to write instead. All of it together, not one complaint for each start.

use std::{io, path::PathBuf};

use settings::Lines;
pub use settings::{Place, Problem};

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
