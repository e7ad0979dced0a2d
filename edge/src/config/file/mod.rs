//! Parses and renders the configuration file, in TOML.
//!
//! `convert` builds the typed configuration with [`settings`], which reads one key at a time by its `kind` of value.
//! Parsing continues after a problem, so that one run reports all of them. `docs/edge.md` is the reference of all keys.

mod convert;
mod discovery;
mod document;
mod duplicates;
mod head_size;
mod health;
mod kind;
mod pool;
mod render;
mod render_rules;
mod rules;

#[cfg(test)]
mod tests;

use std::{
    fs,
    net::SocketAddr,
    path::{self, Path, PathBuf},
};

use settings::Report;

pub use self::render::render;
use super::{
    defaults,
    problem::{ConfigError, Loaded},
};

/// Reads a configuration file.
///
/// # Errors
/// The file cannot be read, or it is invalid; the error then lists every problem.
pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
    parse(&read(path)?, path)
}

/// Parses the text of a configuration file. `path` names it in messages, and paths in it are relative to the folder of
/// `path`. Opens no file.
///
/// # Errors
/// [`ConfigError::Invalid`] with every problem of the text.
pub fn parse(text: &str, path: &Path) -> Result<Loaded, ConfigError> {
    let report = Report::new(text, path);
    parse_with(&report, &folder(path))
}

fn parse_with(report: &Report<'_>, folder: &Path) -> Result<Loaded, ConfigError> {
    let result = report.read(|root| convert::config(root, folder));
    result.map(|(config, warnings)| Loaded { config, warnings }).map_err(ConfigError::Invalid)
}

/// Reads only the address of the admin listener; `None` if it is off. Other problems of the file are ignored: an edit
/// that the running edge would reject must not make its health check fail.
///
/// # Errors
/// The file cannot be read, or its `admin` is invalid.
pub fn admin(path: &Path) -> Result<Option<SocketAddr>, ConfigError> {
    let text = read(path)?;
    let report = Report::new(&text, path);
    let admin = report.read_part(|root| root.get("admin", &kind::ADMIN)).map_err(ConfigError::Invalid)?;
    Ok(admin.unwrap_or(Some(defaults::ADMIN)))
}

/// Returns every key that the sections of `text` may have, as a full path, with the kind of its value.
#[cfg(test)]
pub(super) fn keys(text: &str) -> Vec<(String, String)> {
    let report = Report::new(text, Path::new("edge.toml"));
    parse_with(&report, Path::new("/")).unwrap_or_else(|error| panic!("{error}"));
    report.keys()
}

fn read(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// Returns the absolute folder of `path`, so that paths relative to it do not depend on the working directory.
fn folder(path: &Path) -> PathBuf {
    let folder = path.parent().unwrap_or(Path::new(""));
    path::absolute(folder.join(".")).map_or_else(|_| folder.to_owned(), |folder| folder.components().collect())
}
