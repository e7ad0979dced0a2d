//! What all programs of a run share.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::{pin::Cores, sink::Sink};

/// What all proxies of a run share.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) cores: Cores,
    pub(crate) edge: PathBuf,
    pub(crate) pingora: Option<PathBuf>,
    pub(crate) app: Option<PathBuf>,
    pub(crate) python: Option<PathBuf>,
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Where HAProxy's log goes.
    pub(crate) sink: Sink,
    /// The files of this run.
    pub(crate) files: TempDir,
}
