//! Collects the problems of a file, with their positions, until the whole file is read.

use std::{cell::RefCell, ops::Range, path::Path};

use crate::problem::{Place, Problem, nearest};

/// The problems found so far.
#[derive(Debug)]
pub struct Report<'t> {
    text: &'t str,
    file: String,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// Keys that no section reads. Reported at the end: the sections that they may belong to are known only then.
    unknown: RefCell<Vec<Unknown>>,
    /// The full path of every key that the sections of this file read, with the kind of its value.
    known: RefCell<Vec<(String, String)>>,
}

#[derive(Debug)]
struct Unknown {
    place: Place,
    section: String,
    key: String,
}

impl<'t> Report<'t> {
    /// Creates an empty report on `text`, the content of the file `path`.
    #[must_use]
    pub fn new(text: &'t str, path: &Path) -> Self {
        Self {
            text,
            file: path.display().to_string(),
            problems: RefCell::default(),
            warnings: RefCell::default(),
            unknown: RefCell::default(),
            known: RefCell::default(),
        }
    }

    /// Returns the text that the report is on.
    pub(crate) fn text(&self) -> &'t str {
        self.text
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
    pub(crate) fn syntax_error(&self, error: &toml::de::Error) {
        let span = error.span().unwrap_or(self.text.len()..self.text.len());
        self.problem(&span, "", format!("not TOML: {}", error.message()));
    }

    /// Notes a key that no section reads.
    pub(crate) fn unknown(&self, span: &Range<usize>, section: &str, key: &str) {
        let place = self.place(span, &join(section, key));
        self.unknown.borrow_mut().push(Unknown { place, section: section.to_owned(), key: key.to_owned() });
    }

    /// Notes a key that a section reads.
    pub(crate) fn known(&self, section: &str, key: &str, kind: &str) {
        self.known.borrow_mut().push((join(section, key), kind.to_owned()));
    }

    /// Returns the line of a byte of the text, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.before(offset).matches('\n').count() + 1
    }

    /// Returns the problems and the warnings in the order of the text.
    pub(crate) fn finish(&self) -> (Vec<Problem>, Vec<Problem>) {
        let mut problems = self.problems.take();
        problems.extend(self.unknown.take().into_iter().map(|unknown| self.explain(unknown)));
        let mut warnings = self.warnings.take();
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        warnings.sort_by(|a, b| a.place.cmp(&b.place));
        (problems, warnings)
    }

    /// Returns the full path of every key that the sections of this file read, with the kind of its value, to compare
    /// the documentation with the code.
    #[must_use]
    pub fn keys(&self) -> Vec<(String, String)> {
        self.known.borrow().clone()
    }

    fn explain(&self, Unknown { place, section, key }: Unknown) -> Problem {
        let known = self.known.borrow();
        let split = || known.iter().map(|(path, _)| path.rsplit_once('.').unwrap_or(("", path)));
        let here = split().filter(|(other, _)| *other == section).map(|(_, key)| key);
        let message = if let Some(similar) = nearest(&key, here.clone()) {
            format!("there is no such key; did you mean {similar:?}?")
        } else if let Some((elsewhere, _)) = split().find(|(_, other)| *other == key) {
            let elsewhere =
                if elsewhere.is_empty() { "the top of the file".to_owned() } else { format!("[{elsewhere}]") };
            format!("there is no such key here; it belongs to {elsewhere}")
        } else {
            // Each of several tables of an array has read its keys.
            let mut keys = Vec::new();
            here.for_each(|key| {
                if !keys.contains(&key) {
                    keys.push(key);
                }
            });
            let keys = keys.join(", ");
            format!("there is no such key; this section has: {keys}")
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

    /// Returns the text before a byte, or all of it if there is no such byte.
    fn before(&self, offset: usize) -> &'t str {
        self.text.get(..offset).unwrap_or(self.text)
    }
}

/// Joins the path of a section and a key; an empty key stands for the section itself.
pub(crate) fn join(section: &str, key: &str) -> String {
    match (section, key) {
        ("", key) => key.to_owned(),
        (section, "") => section.to_owned(),
        (section, key) => format!("{section}.{key}"),
    }
}
