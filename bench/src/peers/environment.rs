//! What all programs of a run share.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::{pin::Cores, sink::Sink};

/// Programs, cores and files that all measurements of a run share.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) cores: Cores,
    pub(crate) edge: PathBuf,
    pub(crate) pingora: Option<PathBuf>,
    pub(crate) app: Option<PathBuf>,
    pub(crate) python: Option<PathBuf>,
    /// The repository's checkout.
    pub(crate) root: PathBuf,
    /// The receiver of HAProxy's log.
    pub(crate) sink: Sink,
    /// The run's temporary files.
    pub(crate) files: TempDir,
}
