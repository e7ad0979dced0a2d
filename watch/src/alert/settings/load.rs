//! Reads settings from a file.

use std::{fs, path::Path};

use super::{Settings, file, problem::Problems};

impl Settings {
    /// Reads a file, and those that it names.
    ///
    /// # Errors
    /// It cannot be read, or says something that makes no sense; then all of it is told.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(path, &text),
            Err(source) => Err(Problems::Read { path: path.to_owned(), source }),
        }
    }

    /// Reads the text of the file `path`, and the files that it names. Relative paths begin at the folder of
    /// `path`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Problems> {
        file::parse(path, text)
    }
}
