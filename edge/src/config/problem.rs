//! The problems of a configuration. Each states the place, the fault and the fix. All are reported together, so that
//! one run finds them all.

use std::{io, path::PathBuf};

use settings::Lines;
pub use settings::{Place, Problem};

use super::Config;

/// A valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration with all defaults.
    pub config: Config,
    /// Settings that are valid but probably unintended, such as a pool that no route names. For the log.
    pub warnings: Vec<Problem>,
}

/// Why a configuration cannot be loaded. The message has one line per problem.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The configuration is invalid. Has at least one problem; those of a file are in its order.
    #[error("{}", Lines(.0))]
    Invalid(Vec<Problem>),
}
