//! Why polling the engine failed, in a sentence for the page.

use std::{error::Error as StdError, io};

use bollard::errors::Error as BollardError;
use net::client::BodyError;

use crate::fetch;

/// An error of a request to the engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The connection cannot be opened, or broke.
    #[error("the engine is unreachable: {0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("the engine does not answer in time")]
    Timeout,
    /// This process has no access to the socket.
    #[error("access to the engine is denied: give this process's user or group access to the socket")]
    PermissionDenied,
    /// Fewer than a majority of the managers are reachable.
    #[error("the swarm has no leader: too few managers are reachable")]
    NoQuorum,
    /// The engine is not a manager, so it cannot list anything.
    #[error("this engine is not a swarm manager")]
    NotManager,
    /// The manager restarted with autolock enabled.
    #[error("the swarm is locked: run `docker swarm unlock`")]
    Locked,
    /// Any other error status, with its message.
    #[error("the engine returned status {0}: {1}")]
    Status(u16, String),
    /// The response cannot be parsed.
    #[error("the engine's response cannot be parsed: {0}")]
    Malformed(String),
}

impl EngineError {
    /// Classifies a status other than 200. The messages are swarmkit's and the engine's; they have not changed
    /// since 1.12.
    pub(super) fn from_status(status: u16, message: &str) -> Self {
        let has = |part| message.contains(part);
        if has("does not have a leader") || has("no elected primary cluster manager") || has("lost quorum") {
            Self::NoQuorum
        } else if has("not a swarm manager") || has("not part of a swarm") || has("not connected to a swarm") {
            Self::NotManager
        } else if has("needs to be unlocked") {
            Self::Locked
        } else if has("DeadlineExceeded") || has("deadline exceeded") {
            Self::Timeout
        } else {
            Self::Status(status, message.chars().take(300).collect())
        }
    }

    pub(super) fn malformed(error: impl StdError) -> Self {
        Self::Malformed(error.to_string())
    }

    fn connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::PermissionDenied,
            io::ErrorKind::NotFound => Self::Unreachable("its socket does not exist".to_owned()),
            io::ErrorKind::ConnectionRefused => Self::Unreachable("connection refused".to_owned()),
            _ => Self::Unreachable(error.to_string()),
        }
    }
}

impl From<fetch::Error> for EngineError {
    fn from(error: fetch::Error) -> Self {
        match error {
            fetch::Error::Connect(_, error) => Self::connect(&error),
            fetch::Error::Http(_, error) => Self::Unreachable(format!("the connection broke: {error}")),
            fetch::Error::Body(BodyError::Incomplete(error)) => {
                Self::Unreachable(format!("its response is truncated: {error}"))
            }
            error @ (fetch::Error::Body(BodyError::TooLarge(_)) | fetch::Error::Request(_)) => Self::malformed(error),
        }
    }
}

impl From<BollardError> for EngineError {
    fn from(error: BollardError) -> Self {
        match error {
            BollardError::DockerResponseServerError { status_code, message } => {
                Self::from_status(status_code, &message)
            }
            BollardError::RequestTimeoutError => Self::Timeout,
            BollardError::IOError { err } => Self::connect(&err),
            BollardError::HyperResponseError { err } => Self::Unreachable(format!("the connection broke: {err}")),
            error => Self::malformed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_engine_are_classified() {
        let table = [
            (
                500,
                "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few \
                 managers are online. Make sure more than half of the managers are online.",
                EngineError::NoQuorum,
            ),
            (
                503,
                "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this \
                 node to swarm and try again.",
                EngineError::NotManager,
            ),
            (
                503,
                "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. \
                 Please run this command on a manager node or promote the current node to a manager.",
                EngineError::NotManager,
            ),
            (
                503,
                "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm \
                 unlock\" to unlock it.",
                EngineError::Locked,
            ),
            (500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded", EngineError::Timeout),
            (404, "page not found", EngineError::Status(404, "page not found".to_owned())),
        ];
        for (status, message, expected) in table {
            assert_eq!(EngineError::from_status(status, message), expected, "{message}");
        }
    }
}
