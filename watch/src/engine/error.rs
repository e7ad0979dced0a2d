//! Why the engine told nothing, in a sentence for the page.

use std::{error::Error as StdError, io};

use bollard::errors::Error as BollardError;
use net::client::BodyError;

use crate::fetch;

/// What went wrong with a question to the engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody listens.
    #[error("the engine is not there: {0}")]
    Gone(String),
    /// It has not answered in time.
    #[error("the engine does not answer in time")]
    Slow,
    /// The socket belongs to somebody else.
    #[error("this process may not ask the engine: give its user, or group, access to the socket")]
    Denied,
    /// Too few managers are there to decide anything.
    #[error("the swarm has no leader: too few managers are reachable")]
    NoQuorum,
    /// The engine can tell nothing of the swarm.
    #[error("this engine is no manager of a swarm")]
    NotManager,
    /// After a restart, with autolock.
    #[error("the swarm is locked: docker swarm unlock")]
    Locked,
    /// Anything else that it said.
    #[error("the engine answers {0}: {1}")]
    Refused(u16, String),
    /// What it said makes no sense.
    #[error("the engine's answer cannot be read: {0}")]
    Odd(String),
}

impl Trouble {
    /// What an answer that is not 200 means. The texts are swarmkit's and the engine's own; they have been
    /// the same since 1.12.
    pub(super) fn refused(status: u16, message: &str) -> Self {
        let has = |part| message.contains(part);
        if has("does not have a leader") || has("no elected primary cluster manager") || has("lost quorum") {
            Self::NoQuorum
        } else if has("not a swarm manager") || has("not part of a swarm") || has("not connected to a swarm") {
            Self::NotManager
        } else if has("needs to be unlocked") {
            Self::Locked
        } else if has("DeadlineExceeded") || has("deadline exceeded") {
            Self::Slow
        } else {
            Self::Refused(status, message.chars().take(300).collect())
        }
    }

    pub(super) fn odd(error: impl StdError) -> Self {
        Self::Odd(error.to_string())
    }

    fn connect(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::NotFound => Self::Gone("its socket does not exist".to_owned()),
            io::ErrorKind::ConnectionRefused => Self::Gone("nobody listens".to_owned()),
            _ => Self::Gone(error.to_string()),
        }
    }
}

impl From<fetch::Error> for Trouble {
    fn from(error: fetch::Error) -> Self {
        match error {
            fetch::Error::Connect(_, error) => Self::connect(&error),
            fetch::Error::Http(_, error) => Self::Gone(format!("the connection broke: {error}")),
            fetch::Error::Body(BodyError::Incomplete(error)) => Self::Gone(format!("its answer is cut off: {error}")),
            error @ (fetch::Error::Body(BodyError::TooLarge(_)) | fetch::Error::Request(_)) => Self::odd(error),
        }
    }
}

impl From<BollardError> for Trouble {
    fn from(error: BollardError) -> Self {
        match error {
            BollardError::DockerResponseServerError { status_code, message } => Self::refused(status_code, &message),
            BollardError::RequestTimeoutError => Self::Slow,
            BollardError::IOError { err } => Self::connect(&err),
            BollardError::HyperResponseError { err } => Self::Gone(format!("the connection broke: {err}")),
            error => Self::odd(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_says_is_recognised() {
        let table = [
            (
                500,
                "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few \
                 managers are online. Make sure more than half of the managers are online.",
                Trouble::NoQuorum,
            ),
            (
                503,
                "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this \
                 node to swarm and try again.",
                Trouble::NotManager,
            ),
            (
                503,
                "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. \
                 Please run this command on a manager node or promote the current node to a manager.",
                Trouble::NotManager,
            ),
            (
                503,
                "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm \
                 unlock\" to unlock it.",
                Trouble::Locked,
            ),
            (500, "rpc error: code = DeadlineExceeded desc = context deadline exceeded", Trouble::Slow),
            (404, "page not found", Trouble::Refused(404, "page not found".to_owned())),
        ];
        for (status, message, trouble) in table {
            assert_eq!(Trouble::refused(status, message), trouble, "{message}");
        }
    }
}
