//! `watch.toml`: text in, [`Settings`] out.
//!
//! The text becomes a tree of values with their positions; `section` reads it key by key through the `kind`s
//! of values, `convert` and `channels` put the settings together. Reading goes on after a mistake, so that
//! one run tells all of them.

mod channels;
mod convert;
mod files;
mod kind;
mod report;
mod section;

use std::path::Path;

use toml::de::DeTable;

use self::{report::Report, section::Section};
use super::{Problems, Settings};

/// Reads the text of `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Settings, Problems> {
    let report = Report::new(text, path);
    parse_with(&report, path, text)
}

fn parse_with(report: &Report<'_>, path: &Path, text: &str) -> Result<Settings, Problems> {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        report.syntax_error(error);
    }
    if !errors.is_empty() {
        // What follows from a misread line would only hide it.
        return Err(Problems::Invalid(report.finish().0));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut settings = Section::root(report, document.get_ref()).read(|root| convert::settings(root, folder));
    let (problems, warnings) = report.finish();
    settings.warnings = warnings;
    if problems.is_empty() { Ok(settings) } else { Err(Problems::Invalid(problems)) }
}

/// Every key that may be written in the sections that `text` has, in full, with the kind of its value.
#[cfg(test)]
pub(super) fn keys(path: &Path, text: &str) -> Vec<(String, String)> {
    let report = Report::new(text, path);
    parse_with(&report, path, text).unwrap_or_else(|error| panic!("{error}"));
    report.all_asked()
}
