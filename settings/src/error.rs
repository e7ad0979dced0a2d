//! Why a settings file cannot be used.

use std::{io, path::PathBuf};

use crate::problem::{Lines, Problem};

/// Why a settings file cannot be used. The message has one line per problem.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The settings are invalid. Has at least one problem; those of a file are in its order.
    #[error("{}", Lines(.0))]
    Invalid(Vec<Problem>),
}
