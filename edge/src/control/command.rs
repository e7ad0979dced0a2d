//! Commands to a running edge.

use crate::config::Config;

/// A command from the owner of a running edge.
#[derive(Debug)]
pub enum Command {
    /// Use this configuration from now on; if that fails, keep the old one.
    Reload(Box<Config>),
    /// A reload was requested, but its file could not be read: show the error on the status page.
    ReloadFailed(String),
    /// Stop accepting connections, let open requests finish within [`Config::drain`], and end.
    Drain,
}
