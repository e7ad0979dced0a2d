//! What can go wrong with a request, and the one table from there to a status.

use std::{fmt, sync::Arc};

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER},
};

use crate::counter::StoreError;

/// Why a request is not answered as asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// As many hits wait as may wait. This one was not counted.
    #[error("too many visits at once")]
    Busy,
    /// The deadline passed before the store answered. Whether the hit was counted is unknown.
    #[error("the store does not answer in time")]
    Late,
    /// The store failed, or is known to be down; its error tells whether the hit may be counted.
    #[error("the store is unavailable")]
    Store(#[source] Arc<StoreError>),
    /// The counter is closed.
    #[error("the counter is closed")]
    Closed,
    /// The process is about to stop and wants no more traffic.
    #[error("shutting down")]
    Draining,
    /// There is no such page.
    #[error("not found")]
    NotFound,
    /// The page exists, but not for this method.
    #[error("method not allowed")]
    MethodNotAllowed,
}

impl Error {
    /// The reason as one short word for metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Late => "late",
            Self::Store(cause) => cause.reason(),
            Self::Closed => "closed",
            Self::Draining => "draining",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Busy | Self::Late | Self::Store(_) | Self::Closed | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        }
    }
}

impl IntoResponse for Error {
    /// The status and one line of text. Visitors are not told the causes within.
    fn into_response(self) -> Response {
        self.response(self.to_string())
    }
}

impl Error {
    /// The status and what is wrong, for the operator's `curl`. The causes below are in the log:
    /// whoever finds the port can ask this.
    pub(crate) fn explain(&self) -> Response {
        self.response(match self {
            Self::Store(failure) => format!("{self}: {failure}"),
            other => other.to_string(),
        })
    }

    fn response(&self, mut text: String) -> Response {
        text.push('\n');
        let status = self.status();
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            // A restarted store is found within a second; clients need not wait longer.
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl StoreError {
    /// The reason as one short word for metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Silent => "silent",
            Self::Lost(_) => "lost",
            Self::Refused(_) => "refused",
            Self::NotACount(_) => "not_a_count",
            Self::Unconfirmed(_) => "unconfirmed",
        }
    }
}

/// Displays an error with all its causes: `this: because of this: because of that`.
pub fn chain(error: &dyn std::error::Error) -> impl fmt::Display + '_ {
    struct Chain<'a>(&'a dyn std::error::Error);
    impl fmt::Display for Chain<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", self.0)?;
            let mut cause = self.0.source();
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
            Ok(())
        }
    }
    Chain(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_status_and_the_temporary_ones_say_when_to_return() {
        let lost = StoreError::Lost("reset".into());
        let table = [
            (Error::Busy, 503, "busy"),
            (Error::Late, 503, "late"),
            (Error::Store(Arc::new(lost)), 503, "lost"),
            (Error::Closed, 503, "closed"),
            (Error::Draining, 503, "draining"),
            (Error::NotFound, 404, "not_found"),
            (Error::MethodNotAllowed, 405, "method_not_allowed"),
        ];
        for (error, status, reason) in table {
            assert_eq!(error.reason(), reason);
            let response = error.into_response();
            assert_eq!(response.status(), status);
            let temporary = response.headers().contains_key(RETRY_AFTER);
            assert_eq!(temporary, status == 503);
        }
    }

    #[test]
    fn a_chain_names_every_cause() {
        let error = Error::Store(Arc::new(StoreError::Refused("READONLY".into())));
        assert_eq!(chain(&error).to_string(), "the store is unavailable: the store refuses to count: READONLY");
    }
}
