//! Where the access log goes.

use std::path::PathBuf;

/// Destination of the access log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    #[default]
    Off,
    /// To standard output.
    Stdout,
    /// Appended to a file, which SIGHUP reopens (log rotation).
    File(PathBuf),
}
