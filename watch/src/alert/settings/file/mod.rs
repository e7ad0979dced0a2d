//! `watch.toml`: text in, [`Settings`] out.
//!
//! [`settings`] reads it key by key through the `kind`s of values, `convert` and `channels` put the settings
//! together. Reading goes on after a mistake, so that one run tells all of them.

mod channels;
mod convert;
mod files;
mod kind;

use std::path::Path;

use settings::Report;

use super::{Problems, Settings};

/// Reads the text of `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Settings, Problems> {
    let report = Report::new(text, path);
    parse_with(&report, path)
}

fn parse_with(report: &Report<'_>, path: &Path) -> Result<Settings, Problems> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let read = report.read(|root| convert::settings(root, folder));
    read.map(|(settings, warnings)| Settings { warnings, ..settings }).map_err(Problems::Invalid)
}

/// Every key that may be written in the sections that `text` has, in full, with the kind of its value.
#[cfg(test)]
pub(super) fn keys(path: &Path, text: &str) -> Vec<(String, String)> {
    let report = Report::new(text, path);
    parse_with(&report, path).unwrap_or_else(|error| panic!("{error}"));
    report.keys()
}
