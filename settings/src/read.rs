//! Reads a text by its sections and reports the problems.

use toml::de::DeTable;

use crate::{problem::Problem, report::Report, section::Section};

impl Report<'_> {
    /// Reads the whole text. Returns the value with the warnings, in the order of the text.
    ///
    /// # Errors
    /// All problems of the text, in its order; if it is not TOML, only the syntax errors.
    pub fn read<T>(&self, read: impl FnOnce(&mut Section<'_>) -> T) -> Result<(T, Vec<Problem>), Vec<Problem>> {
        let (document, errors) = DeTable::parse_recoverable(self.text());
        for error in &errors {
            self.syntax_error(error);
        }
        if !errors.is_empty() {
            // Problems that follow from a misread line would only hide it.
            return Err(self.finish().0);
        }
        let value = Section::root(self, document.get_ref()).read(read);
        let (problems, warnings) = self.finish();
        if problems.is_empty() { Ok((value, warnings)) } else { Err(problems) }
    }

    /// Reads a part of the text and ignores the problems of the rest.
    ///
    /// # Errors
    /// The problems of what `read` reads.
    pub fn read_part<T>(&self, read: impl FnOnce(&mut Section<'_>) -> T) -> Result<T, Vec<Problem>> {
        let (document, _) = DeTable::parse_recoverable(self.text());
        let value = read(&mut Section::root(self, document.get_ref()));
        let (problems, _) = self.finish();
        if problems.is_empty() { Ok(value) } else { Err(problems) }
    }
}
