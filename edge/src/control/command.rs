//! Commands to a running edge.

use std::collections::VecDeque;

use tokio::sync::mpsc::{self, error::TryRecvError};

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

/// Moves the commands that wait, up to a stop, to `early`. Returns whether there was a stop.
pub(super) fn receive_waiting(commands: &mut mpsc::UnboundedReceiver<Command>, early: &mut VecDeque<Command>) -> bool {
    loop {
        let command = match commands.try_recv() {
            Ok(command) => command,
            Err(TryRecvError::Empty) => return false,
            Err(TryRecvError::Disconnected) => Command::Drain,
        };
        let is_stop = matches!(command, Command::Drain);
        early.push_back(command);
        if is_stop {
            return true;
        }
    }
}
