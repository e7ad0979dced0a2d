//! Tracks which flags the user gave, and parses their values.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use crate::config::{
    problem::{Place, Problem},
    value::Parsed,
};

/// The flags that the user gave on the command line or in the environment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// Maps each flag, without its dashes, to the name that the user gave: `--listen` or `EDGE_LISTEN`.
    pub(super) flags: BTreeMap<String, String>,
    /// Warnings about variables that closely resemble one of the edge.
    pub(super) misspelled: Vec<Problem>,
}

impl Given {
    /// Returns a problem with a flag, whether it was given or not.
    pub(super) fn problem(&self, flag: &str, message: impl Into<String>) -> Problem {
        let name = self.flags.get(flag).cloned().unwrap_or_else(|| format!("--{flag}"));
        Problem { place: Place::Flag(name), message: message.into() }
    }
}

/// Parses the values of flags and collects their problems.
pub(crate) struct Reader<'a> {
    given: &'a Given,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(given: &'a Given) -> Self {
        Self { given, problems: RefCell::default() }
    }

    /// Adds a problem with a flag, whether it was given or not.
    pub(crate) fn problem(&self, flag: &str, message: impl Into<String>) {
        self.extend([self.given.problem(flag, message)]);
    }

    /// Adds a problem for a flag that concerns health checks, while they are turned off.
    pub(super) fn turned_off(&self, flag: &str) {
        self.problem(flag, "is given, but health checks are turned off: remove one of the two");
    }

    /// Adds problems that were found elsewhere.
    pub(crate) fn extend(&self, problems: impl IntoIterator<Item = Problem>) {
        self.problems.borrow_mut().extend(problems);
    }

    /// Parses the value of a flag; `None` if it was not given or is invalid.
    pub(crate) fn one<T>(&self, flag: &str, text: Option<&str>, parse: impl FnOnce(&str) -> Parsed<T>) -> Option<T> {
        parse(text?.trim()).map_err(|message| self.problem(flag, message)).ok()
    }

    /// Parses the values of a flag and leaves out the invalid ones.
    pub(crate) fn many<T>(&self, flag: &str, texts: &[String], parse: impl Fn(&str) -> Parsed<T>) -> Vec<T> {
        items(texts).filter_map(|text| self.one(flag, Some(text), &parse)).collect()
    }

    /// Adds a problem for each value that equals an earlier one.
    pub(super) fn report_duplicates<T>(&self, flag: &str, values: &[T], name: impl Fn(&T) -> String) {
        let mut seen = BTreeSet::new();
        for name in values.iter().map(name) {
            if let Some(name) = seen.replace(name) {
                self.problem(flag, format!("{name} is given twice: remove one of them"));
            }
        }
    }

    /// Returns all problems that were found.
    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// Returns the name of a flag's variable.
pub(super) fn variable(flag: &str) -> String {
    format!("EDGE_{}", flag.replace('-', "_").to_ascii_uppercase())
}

/// Returns the items of lists that are separated by commas or white space, except empty ones.
pub(super) fn items(texts: &[String]) -> impl Iterator<Item = &str> {
    texts.iter().flat_map(|text| text.split([',', ' ', '\t', '\n', '\r'])).filter(|item| !item.is_empty())
}
