//! Why a message was not sent.

use std::time::Duration;

/// Why something was not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::alert) struct SendError {
    /// In words, without secrets.
    pub error: String,
    /// What would help.
    pub hint: RetryHint,
}

/// What would help against a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::alert) enum RetryHint {
    /// Trying again, at the earliest after the time that the server asks for.
    Again(Option<Duration>),
    /// Nothing but somebody who looks at it.
    Permanent,
    /// Nothing more needs to be sent: some have got it.
    Partial,
}

impl SendError {
    /// One that may pass.
    pub(super) fn transient(error: impl Into<String>) -> Self {
        Self { error: error.into(), hint: RetryHint::Again(None) }
    }

    /// No answer yet, which may come or not.
    pub(super) fn timed_out() -> Self {
        Self::transient("not done in time")
    }

    /// One that will not.
    pub(super) fn permanent(error: impl Into<String>) -> Self {
        Self { error: error.into(), hint: RetryHint::Permanent }
    }
}
