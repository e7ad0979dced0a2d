//! Commands to a running edge.

use crate::config::Config;

/// A command from the owner of a running edge.
#[derive(Debug)]
pub enum Command {
    /// Put this configuration in force; on any error the old one stays.
    Reload(Box<Config>),
    /// A reload was requested, but its file could not be read: show the error on the status page.
    ReloadFailed(String),
    /// Stop accepting, let open requests finish within [`Config::drain`], end.
    Drain,
}
