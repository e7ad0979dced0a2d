//! Reads the files that the rules of routes name.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{config::Config, filters::RuleFiles};

/// The maximum size of a page, in bytes: all pages are kept in memory.
const MAX_PAGE: u64 = 1024 * 1024;

/// Why a file of a rule cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleFileError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is too large.
    #[error("{}: is larger than {MAX_PAGE} bytes: serve it by an endpoint", path.display())]
    TooLarge {
        /// The path of the file.
        path: PathBuf,
    },
}

/// Reads all files of the rules of a configuration.
///
/// # Errors
/// The first one that cannot be used.
pub(super) fn load(config: &Config) -> Result<RuleFiles, RuleFileError> {
    let mut files = RuleFiles::default();
    for rules in config.routes.iter().filter_map(|route| route.rules.as_ref()) {
        for path in rules.pages() {
            if !files.pages.contains_key(path) {
                files.pages.insert(path.to_owned(), read(path)?);
            }
        }
    }
    Ok(files)
}

fn read(path: &Path) -> Result<Bytes, RuleFileError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_PAGE + 1).read_to_end(&mut bytes));
    match read {
        Err(source) => Err(RuleFileError::Read { path: path.to_owned(), source }),
        Ok(length) if length as u64 > MAX_PAGE => Err(RuleFileError::TooLarge { path: path.to_owned() }),
        Ok(_) => Ok(bytes.into()),
    }
}
