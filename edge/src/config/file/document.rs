//! The text of a configuration file that is being rendered, and how its values are written.

use std::{fmt::Display, path::Path, time::Duration};

use toml::Value;

/// The text written so far.
#[derive(Default)]
pub(super) struct Document(pub(super) String);

impl Document {
    /// Writes the heading of a section.
    pub(super) fn heading(&mut self, heading: &str) {
        self.0.push_str(&format!("\n{heading}\n"));
    }

    /// Writes a key with its value.
    pub(super) fn key(&mut self, key: &str, value: impl Display) {
        self.0.push_str(&format!("{key} = {value}\n"));
    }
}

/// Formats a TOML string.
pub(super) fn string(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// Formats the path of a file.
pub(super) fn path(path: &Path) -> String {
    string(&path.to_string_lossy())
}

/// Formats a duration.
pub(super) fn duration(duration: Duration) -> String {
    string(&humantime::format_duration(duration).to_string())
}

/// Formats a list.
pub(super) fn list<T>(items: &[T], item: impl Fn(&T) -> String) -> String {
    format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(", "))
}
