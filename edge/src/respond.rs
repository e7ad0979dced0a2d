//! The one table from what went wrong to what the client is told.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use crate::error::{Error, Kind};

/// How long a client is asked to wait after a 503, in seconds: about what a health check needs.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The status for each kind of error (RFC 9110 section 15). No arm catches the rest: a new kind has to
/// be placed here.
#[must_use]
pub const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::BadHost | Kind::BadRequest => StatusCode::BAD_REQUEST,
        Kind::BadTarget => StatusCode::NOT_IMPLEMENTED,
        Kind::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Kind::Loop => StatusCode::LOOP_DETECTED,
        Kind::NoRoute => StatusCode::NOT_FOUND,
        Kind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        // 408 even if nobody is left to read it: the access log says what happened.
        Kind::BodyTimeout | Kind::ClientGone => StatusCode::REQUEST_TIMEOUT,
        // Nobody answers at all, so coming back later may help: 503, as HAProxy and Envoy say, not 502.
        Kind::NoEndpoint | Kind::PoolFull | Kind::Connect => StatusCode::SERVICE_UNAVAILABLE,
        Kind::UpstreamClosed | Kind::UpstreamInvalid => StatusCode::BAD_GATEWAY,
        Kind::ConnectTimeout | Kind::ResponseTimeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

/// The whole answer for an error. Says what happened in the edge's own words and nothing of addresses,
/// names of pools or underlying errors: those are in the log.
#[must_use]
pub fn response(error: &Error) -> Response<Full<Bytes>> {
    let status = status(error.kind);
    let mut response = Response::new(Full::new(Bytes::from_static(text(error.kind).as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

const fn text(kind: Kind) -> &'static str {
    match kind {
        Kind::BadHost => "400: the Host header is missing, repeated or wrong\n",
        Kind::BadTarget => "501: this kind of request target is not served here\n",
        Kind::BadRequest => "400: not a valid HTTP request\n",
        Kind::HeadTooLarge => "431: the request has too many header fields\n",
        Kind::Loop => "508: this request goes round in circles\n",
        Kind::NoRoute => "404: no route leads anywhere from here\n",
        Kind::BodyTooLarge => "413: the request body is too large\n",
        Kind::BodyTimeout => "408: the request body did not arrive in time\n",
        Kind::ClientGone => "408: the client went away\n",
        Kind::NoEndpoint => "503: no server is available for this\n",
        Kind::PoolFull => "503: all servers are busy\n",
        Kind::Connect => "503: no server could be reached\n",
        Kind::UpstreamClosed => "502: the server went away before it answered\n",
        Kind::UpstreamInvalid => "502: the server's answer was not HTTP\n",
        Kind::ConnectTimeout => "504: no server could be reached in time\n",
        Kind::ResponseTimeout => "504: the server did not answer in time\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Retry, Side};

    #[test]
    fn the_status_says_whose_fault_it_is() {
        for kind in Kind::ALL {
            let status = status(kind);
            match kind.side() {
                Side::Downstream => assert!(status.is_client_error() || kind == Kind::BadTarget, "{kind:?}"),
                Side::Edge | Side::Upstream => assert!(status.is_server_error(), "{kind:?}"),
            }
        }
    }

    #[test]
    fn the_text_begins_with_the_status_and_only_503_says_when_to_come_back() {
        for kind in Kind::ALL {
            let response = response(&Error::new(kind, Retry::Never));
            assert!(text(kind).starts_with(response.status().as_str()), "{kind:?}");
            let retry_after = response.headers().contains_key(header::RETRY_AFTER);
            assert_eq!(retry_after, response.status() == StatusCode::SERVICE_UNAVAILABLE, "{kind:?}");
        }
    }
}
