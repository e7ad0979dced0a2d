//! Collects what is wrong with a file, with positions, until all of it is read.

use std::{cell::RefCell, ops::Range, path::Path};

use crate::alert::settings::problem::{Place, Problem, nearest};

/// What is known to be wrong so far.
#[derive(Debug)]
pub(super) struct Report<'t> {
    text: &'t str,
    file: String,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
    /// Keys that nobody asked for, told at the end: where they would belong is known only then.
    unknown: RefCell<Vec<Unknown>>,
    /// Every key that may be written in the sections of this file, in full, with the kind of its value.
    asked: RefCell<Vec<(String, String)>>,
}

#[derive(Debug)]
struct Unknown {
    place: Place,
    section: String,
    key: String,
}

impl<'t> Report<'t> {
    /// An empty report on `text`, which is in the file `path`.
    pub(super) fn new(text: &'t str, path: &Path) -> Self {
        Self {
            text,
            file: path.display().to_string(),
            problems: RefCell::default(),
            warnings: RefCell::default(),
            unknown: RefCell::default(),
            asked: RefCell::default(),
        }
    }

    /// Something wrong at these bytes of the text.
    pub(super) fn problem(&self, span: &Range<usize>, key: &str, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem { place: self.place(span, key), message: message.into() });
    }

    /// Something odd at these bytes of the text.
    pub(super) fn warning(&self, span: &Range<usize>, key: &str, message: impl Into<String>) {
        self.warnings.borrow_mut().push(Problem { place: self.place(span, key), message: message.into() });
    }

    /// What the TOML parser says.
    pub(super) fn syntax_error(&self, error: &toml::de::Error) {
        let span = error.span().unwrap_or(self.text.len()..self.text.len());
        self.problem(&span, "", format!("not TOML: {}", error.message()));
    }

    /// A key that nobody asked for.
    pub(super) fn unknown(&self, span: &Range<usize>, section: &str, key: &str) {
        let place = self.place(span, &join(section, key));
        self.unknown.borrow_mut().push(Unknown { place, section: section.to_owned(), key: key.to_owned() });
    }

    /// A key that may be written.
    pub(super) fn asked(&self, section: &str, key: &str, kind: &str) {
        self.asked.borrow_mut().push((join(section, key), kind.to_owned()));
    }

    /// Problems and warnings in the order of the text.
    pub(super) fn finish(&self) -> (Vec<Problem>, Vec<Problem>) {
        let mut problems = self.problems.take();
        problems.extend(self.unknown.take().into_iter().map(|unknown| self.explain(unknown)));
        let mut warnings = self.warnings.take();
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        warnings.sort_by(|a, b| a.place.cmp(&b.place));
        (problems, warnings)
    }

    /// Every key that may be written in the sections of this file, in full, with the kind of its value.
    #[cfg(test)]
    pub(super) fn all_asked(&self) -> Vec<(String, String)> {
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
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Place {
            file: self.file.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            key: key.to_owned(),
        }
    }
}

/// `key` behind the path of its section; an empty one is the section itself.
pub(super) fn join(section: &str, key: &str) -> String {
    match (section, key) {
        ("", key) => key.to_owned(),
        (section, "") => section.to_owned(),
        (section, key) => format!("{section}.{key}"),
    }
}
