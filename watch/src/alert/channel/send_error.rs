//! Why a message was not sent.

use std::time::Duration;

/// Why a message was not sent, or not to all recipients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::alert) struct SendError {
    /// In words, without secrets.
    pub error: String,
    /// How to retry.
    pub hint: RetryHint,
    /// If some recipients have the message: the others, each with the reason.
    pub undelivered: Vec<(String, SendError)>,
}

/// How to retry after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::alert) enum RetryHint {
    /// Retry, at the earliest after the time that the server asks for.
    Again(Option<Duration>),
    /// Do not retry soon: only an operator can fix the cause.
    Permanent,
    /// Retry only for the recipients that do not have the message.
    Partial,
}

impl SendError {
    /// Creates an error about the whole message.
    pub(super) fn new(error: impl Into<String>, hint: RetryHint) -> Self {
        Self { error: error.into(), hint, undelivered: Vec::new() }
    }

    /// Creates an error that may pass.
    pub(super) fn transient(error: impl Into<String>) -> Self {
        Self::new(error, RetryHint::Again(None))
    }

    /// Creates the error of a missing response, which may still come.
    pub(super) fn timed_out() -> Self {
        Self::transient("timed out")
    }

    /// Creates an error that will not pass.
    pub(super) fn permanent(error: impl Into<String>) -> Self {
        Self::new(error, RetryHint::Permanent)
    }
}
