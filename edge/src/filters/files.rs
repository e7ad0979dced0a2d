//! The contents of files that rules name. They are read when the edge starts and at each reload, never for a request.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use bytes::Bytes;

/// What the files of all rules contain.
#[derive(Clone, Debug, Default)]
pub struct RuleFiles {
    /// Bodies of responses.
    pub pages: HashMap<PathBuf, Bytes>,
}

impl RuleFiles {
    /// The body in a file; empty if the file was not read.
    #[must_use]
    pub fn page(&self, path: &Path) -> Bytes {
        self.pages.get(path).cloned().unwrap_or_default()
    }
}
