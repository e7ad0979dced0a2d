//! The errors of a request, and the one table that maps them to statuses.

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, RETRY_AFTER},
};

use crate::counter::error::CounterError;

/// Why a request is answered with an error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The counter has no number for the visit, or does not count at all.
    #[error(transparent)]
    Counter(#[from] CounterError),
    /// The process is about to stop and must get no more traffic.
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
            Self::Counter(cause) => cause.reason(),
            Self::Draining => "draining",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Counter(CounterError::Busy | CounterError::Late | CounterError::Store(_) | CounterError::Closed)
            | Self::Draining => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// The status and the cause, for the operator's `curl`. The deeper causes stay in the log: any client
    /// that can reach the port may ask this. Only a drain has `Retry-After` here: it tells an edge that no
    /// new requests are wanted, and that nothing is wrong.
    pub(crate) fn explain(&self) -> Response {
        let mut response = self.response(match self {
            Self::Counter(CounterError::Store(failure)) => format!("{self}: {failure}"),
            other => other.to_string(),
        });
        if !matches!(self, Self::Draining) {
            response.headers_mut().remove(RETRY_AFTER);
        }
        response
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

impl IntoResponse for Error {
    /// The status and one line of text. Visitors do not see the causes.
    fn into_response(self) -> Response {
        self.response(self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::counter::error::StoreError;

    #[test]
    fn every_error_has_a_status_and_the_temporary_ones_say_when_to_return() {
        let lost = StoreError::Lost("reset".into());
        let table = [
            (CounterError::Busy.into(), 503, "busy"),
            (CounterError::Late.into(), 503, "late"),
            (CounterError::Store(Arc::new(lost)).into(), 503, "lost"),
            (CounterError::Closed.into(), 503, "closed"),
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
}
