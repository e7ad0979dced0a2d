//! Why a message was not sent.

use std::time::Duration;

/// Why something was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::alert) struct Trouble {
    /// In words, without secrets.
    pub error: String,
    /// What would help.
    pub hint: Hint,
}

/// What would help against a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::alert) enum Hint {
    /// Trying again, at the earliest after the time that the server asks for.
    Again(Option<Duration>),
    /// Nothing but somebody who looks at it.
    Hopeless,
    /// Nothing more needs to be sent: some have got it.
    Partial,
}

impl Trouble {
    /// One that may pass.
    pub(super) fn passing(error: impl Into<String>) -> Self {
        Self { error: error.into(), hint: Hint::Again(None) }
    }

    /// No answer yet, which may come or not.
    pub(super) fn late() -> Self {
        Self::passing("not done in time")
    }

    /// One that will not.
    pub(super) fn lasting(error: impl Into<String>) -> Self {
        Self { error: error.into(), hint: Hint::Hopeless }
    }
}
