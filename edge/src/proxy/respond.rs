//! The one table from what went wrong to what the client is told, when the edge answers by itself.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{
    error::Kind,
    protocol::{
        h1::framing::Framing,
        headers::{
            response::{Persistence, write_end, write_status},
            write_field,
        },
    },
    proxy::max_forwards,
};

/// How long a client is asked to wait after a 503, in seconds: about what a health check needs.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The status for each kind of error (RFC 9110 section 15). No arm catches the rest: a new kind has to
/// be placed here.
#[must_use]
pub const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::NoFurther => StatusCode::OK,
        Kind::BadHost | Kind::BadRequest => StatusCode::BAD_REQUEST,
        Kind::BadTarget => StatusCode::NOT_IMPLEMENTED,
        Kind::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Kind::TargetTooLong => StatusCode::URI_TOO_LONG,
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

/// The fields of the answer for an error, but for those about its body and its connection.
fn fields(kind: Kind) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let retry_after = (status(kind) == StatusCode::SERVICE_UNAVAILABLE).then_some((header::RETRY_AFTER, RETRY_AFTER));
    let always = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let server = (kind == Kind::NoFurther).then_some((header::SERVER, HeaderValue::from_static(max_forwards::SERVER)));
    always.into_iter().chain(retry_after).chain(server)
}

/// The whole answer for an error, to an HTTP/2 client. Says what happened in the edge's own words and
/// nothing of addresses, names of pools or underlying errors: those are in the log.
#[must_use]
pub fn response(kind: Kind) -> Response<Bytes> {
    let status = status(kind);
    let mut response = Response::new(Bytes::from_static(text(kind).as_bytes()));
    *response.status_mut() = status;
    response.headers_mut().extend(fields(kind));
    response
}

/// The same for an HTTP/1 client, written out; an answer to HEAD has no body. Returns the length of the
/// body.
pub fn write(out: &mut Vec<u8>, kind: Kind, to_head: bool, persistence: Persistence, date: &str) -> usize {
    let status = status(kind);
    let text = text(kind);
    write_status(out, status.as_u16(), status.canonical_reason().unwrap_or_default());
    for (name, value) in fields(kind) {
        write_field(out, name.as_str(), value.as_bytes());
    }
    write_field(out, "date", date.as_bytes());
    write_end(out, Framing::Length(text.len() as u64), persistence);
    if to_head {
        return 0;
    }
    out.extend_from_slice(text.as_bytes());
    text.len()
}

const fn text(kind: Kind) -> &'static str {
    match kind {
        Kind::NoFurther => max_forwards::ITSELF,
        Kind::BadHost => "400: the Host header is missing, repeated or wrong\n",
        Kind::BadTarget => "501: this kind of request target is not served here\n",
        Kind::BadRequest => "400: not a valid HTTP request\n",
        Kind::HeadTooLarge => "431: the request has too many header fields\n",
        Kind::TargetTooLong => "414: the request target is too long\n",
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
    use crate::error::Side;

    #[test]
    fn the_status_says_whose_fault_it_is() {
        for kind in Kind::ALL {
            let status = status(kind);
            match kind.side() {
                Side::Downstream => assert!(status.is_client_error() || kind == Kind::BadTarget, "{kind:?}"),
                Side::Edge if kind == Kind::NoFurther => assert_eq!(status, StatusCode::OK),
                Side::Edge | Side::Upstream => assert!(status.is_server_error(), "{kind:?}"),
            }
        }
    }

    #[test]
    fn the_text_begins_with_the_status_and_only_503_says_when_to_come_back() {
        for kind in Kind::ALL {
            let response = response(kind);
            assert!(text(kind).starts_with(response.status().as_str()), "{kind:?}");
            let retry_after = response.headers().contains_key(header::RETRY_AFTER);
            assert_eq!(retry_after, response.status() == StatusCode::SERVICE_UNAVAILABLE, "{kind:?}");
        }
    }

    #[test]
    fn both_protocols_are_told_the_same() {
        for kind in Kind::ALL {
            let mut out = Vec::new();
            let sent = write(&mut out, kind, false, Persistence::Close, "today");
            let text = String::from_utf8(out).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let response = response(kind);
            assert_eq!((body.as_bytes(), body.len()), (&response.body()[..], sent));
            assert!(head.starts_with(&format!("HTTP/1.1 {} ", response.status().as_str())), "{head}");
            for (name, value) in response.headers() {
                assert!(head.contains(&format!("\r\n{name}: {}\r\n", value.to_str().unwrap())), "{name} in {head}");
            }
            assert!(head.contains(&format!("content-length: {sent}\r\nconnection: close")), "{head}");
        }
    }

    #[test]
    fn an_answer_to_head_tells_the_length_only() {
        let mut out = Vec::new();
        assert_eq!(write(&mut out, Kind::NoRoute, true, Persistence::Stays, "today"), 0);
        assert!(out.ends_with(b"\r\ncontent-length: 39\r\n\r\n"), "{}", String::from_utf8_lossy(&out));
    }
}
