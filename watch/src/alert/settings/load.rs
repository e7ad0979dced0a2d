//! Reads settings from a file.

use std::{fs, path::Path};

use settings::LoadError;

use super::{Settings, file};

impl Settings {
    /// Reads a file, and the files that it names.
    ///
    /// # Errors
    /// The file cannot be read, or is invalid. The error then lists all problems.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(source) => Err(LoadError::Read { path: path.to_owned(), source }),
        }
    }

    /// Parses the text of the file `path`, and reads the files that it names. Relative paths start at the folder
    /// of `path`.
    ///
    /// # Errors
    /// Lists all problems.
    pub fn parse(path: &Path, text: &str) -> Result<Self, LoadError> {
        file::parse(path, text)
    }
}
