//! Parses `watch.toml` to [`Settings`].
//!
//! [`settings`] reads it key by key with the `kind`s of values; `convert` and `channels` build the settings.
//! Parsing continues after a mistake, so that one run reports all of them.

mod channels;
mod convert;
mod files;
mod kind;

use std::path::Path;

use settings::{LoadError, Report};

use super::Settings;

/// Parses the text of `path`.
pub(super) fn parse(path: &Path, text: &str) -> Result<Settings, LoadError> {
    let report = Report::new(text, path);
    parse_with(&report, path)
}

fn parse_with(report: &Report<'_>, path: &Path) -> Result<Settings, LoadError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let read = report.read(|root| convert::settings(root, folder));
    read.map(|(settings, warnings)| Settings { warnings, ..settings }).map_err(LoadError::Invalid)
}

/// Returns every key that is allowed in the sections of `text`, with the kind of its value.
#[cfg(test)]
pub(super) fn keys(path: &Path, text: &str) -> Vec<(String, String)> {
    let report = Report::new(text, path);
    parse_with(&report, path).unwrap_or_else(|error| panic!("{error}"));
    report.keys()
}
