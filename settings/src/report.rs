//! Collects the problems of a file, with their positions, until the whole file is read.

use std::{cell::RefCell, ops::Range, path::Path};

use toml::de::DeTable;

use crate::{
    problem::{Place, Problem, nearest},
    section::Section,
};

/// The problems found so far.
#[derive(Debug)]
pub struct Report<'t> {
    text: &'t str,
    file: String,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// Keys that no section reads. Reported at the end: the sections that they may belong to are known only then.
    unknown: RefCell<Vec<Unknown>>,
    /// Every key that the sections of this file read, with its sections and the kind of its value.
    asked: RefCell<Vec<(String, String)>>,
}

#[derive(Debug)]
struct Unknown {
    place: Place,
    section: String,
    key: String,
}

impl<'t> Report<'t> {
    /// An empty report on `text`, the content of the file `path`.
    #[must_use]
    pub fn new(text: &'t str, path: &Path) -> Self {
        Self {
            text,
            file: path.display().to_string(),
            problems: RefCell::default(),
            warnings: RefCell::default(),
            unknown: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    /// Reads the whole text. Returns the value with the warnings, in the order of the text.
    ///
    /// # Errors
    /// All problems of the text, in its order; if it is not TOML, only the syntax errors.
    pub fn read<T>(&self, read: impl FnOnce(&mut Section<'_>) -> T) -> Result<(T, Vec<Problem>), Vec<Problem>> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
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
        let (document, _) = DeTable::parse_recoverable(self.text);
        let value = read(&mut Section::root(self, document.get_ref()));
        let (problems, _) = self.finish();
        if problems.is_empty() { Ok(value) } else { Err(problems) }
    }

    /// Reports a problem at these bytes of the text.
    pub(crate) fn problem(&self, span: &Range<usize>, key: &str, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem { place: self.place(span, key), message: message.into() });
    }

    /// Reports a warning at these bytes of the text.
    pub(crate) fn warning(&self, span: &Range<usize>, key: &str, message: impl Into<String>) {
        self.warnings.borrow_mut().push(Problem { place: self.place(span, key), message: message.into() });
    }

    /// Reports an error of the TOML parser.
    fn syntax_error(&self, error: &toml::de::Error) {
        let span = error.span().unwrap_or(self.text.len()..self.text.len());
        self.problem(&span, "", format!("not TOML: {}", error.message()));
    }

    /// Notes a key that no section reads.
    pub(crate) fn unknown(&self, span: &Range<usize>, section: &str, key: &str) {
        let place = self.place(span, &join(section, key));
        self.unknown.borrow_mut().push(Unknown { place, section: section.to_owned(), key: key.to_owned() });
    }

    /// Notes a key that a section reads.
    pub(crate) fn asked(&self, section: &str, key: &str, kind: &str) {
        self.asked.borrow_mut().push((join(section, key), kind.to_owned()));
    }

    /// The line of a byte of the text, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.before(offset).matches('\n').count() + 1
    }

    /// Problems and warnings in the order of the text.
    fn finish(&self) -> (Vec<Problem>, Vec<Problem>) {
        let mut problems = self.problems.take();
        problems.extend(self.unknown.take().into_iter().map(|unknown| self.explain(unknown)));
        let mut warnings = self.warnings.take();
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        warnings.sort_by(|a, b| a.place.cmp(&b.place));
        (problems, warnings)
    }

    /// Every key that the sections of this file read, with its sections and the kind of its value. For comparing
    /// the documentation with the code.
    #[must_use]
    pub fn keys(&self) -> Vec<(String, String)> {
        self.asked.borrow().clone()
    }

    fn explain(&self, Unknown { place, section, key }: Unknown) -> Problem {
        let asked = self.asked.borrow();
        let split = || asked.iter().map(|(path, _)| path.rsplit_once('.').unwrap_or(("", path)));
        let here = split().filter(|(other, _)| *other == section).map(|(_, key)| key);
        let message = if let Some(meant) = nearest(&key, here.clone()) {
            format!("there is no such key; did you mean {meant:?}?")
        } else if let Some((elsewhere, _)) = split().find(|(_, other)| *other == key) {
            let elsewhere =
                if elsewhere.is_empty() { "the top of the file".to_owned() } else { format!("[{elsewhere}]") };
            format!("there is no such key here; it belongs to {elsewhere}")
        } else {
            let known = here.collect::<Vec<_>>().join(", ");
            format!("there is no such key; this section has: {known}")
        };
        Problem { place, message }
    }

    fn place(&self, span: &Range<usize>, key: &str) -> Place {
        let before = self.before(span.start);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place::File {
            file: self.file.clone(),
            line: self.line(span.start),
            column: before[line_start..].chars().count() + 1,
            key: key.to_owned(),
        }
    }

    /// The text up to a byte, or all of it if there is no such byte.
    fn before(&self, offset: usize) -> &'t str {
        self.text.get(..offset).unwrap_or(self.text)
    }
}

/// `key` after the path of its section; an empty key stands for the section itself.
pub(crate) fn join(section: &str, key: &str) -> String {
    match (section, key) {
        ("", key) => key.to_owned(),
        (section, "") => section.to_owned(),
        (section, key) => format!("{section}.{key}"),
    }
}
