//! Responses that the edge makes itself: the one table from an error to a status, a text and fields.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use crate::{
    error::{Error, Kind},
    filters::Page,
    protocol::{
        h1::framing::Framing,
        headers::{
            edits::FieldEdits,
            response::{Persistence, write_end, write_status},
            write_field,
        },
    },
    proxy::max_forwards,
};

/// `Retry-After` of a 503 and a 429, in seconds: about the time that a health check needs, and in which a client may
/// send more requests again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A response without an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalReply {
    /// The request failed.
    Error(Kind),
    /// The client asked the edge itself; see [`max_forwards`].
    MaxForwards,
    /// A rule of the route answers.
    Page(Box<Page>),
}

impl LocalReply {
    /// The reply to a request that failed. Logs the cause, which the reply omits.
    #[must_use]
    pub fn to(error: &Error) -> Self {
        tracing::debug!(kind = error.kind.label(), source = ?error.source, "request failed");
        Self::Error(error.kind)
    }

    /// The name in metrics and logs.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Error(kind) => kind.label(),
            Self::MaxForwards => "max_forwards",
            Self::Page(page) => page.label,
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Error(kind) => status(*kind),
            Self::MaxForwards => StatusCode::OK,
            Self::Page(page) => page.status,
        }
    }

    /// Returns the response for an HTTP/2 client, with the changes of its route.
    ///
    /// The text of an error names no address, no pool and no underlying error: those are in the log.
    #[must_use]
    pub fn response(&self, edits: Option<&FieldEdits>) -> Response<Bytes> {
        let mut response = Response::new(self.body());
        *response.status_mut() = self.status();
        response.headers_mut().extend(self.fields(edits));
        response
    }

    /// Writes the same response for an HTTP/1 client, without the body if the request is HEAD. Returns the length of
    /// the body in bytes.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        edits: Option<&FieldEdits>,
        to_head: bool,
        persistence: Persistence,
        date: &str,
    ) -> usize {
        let (status, body) = (self.status(), self.body());
        write_status(out, status.as_u16(), status.canonical_reason().unwrap_or_default());
        for (name, value) in self.fields(edits) {
            write_field(out, name.as_str(), value.as_bytes());
        }
        write_field(out, "date", date.as_bytes());
        let framing = if status == StatusCode::NO_CONTENT { Framing::None } else { Framing::Length(body.len() as u64) };
        write_end(out, framing, persistence);
        if to_head {
            return 0;
        }
        out.extend_from_slice(&body);
        body.len()
    }

    /// The fields, except those about the body and the connection.
    fn fields(&self, edits: Option<&FieldEdits>) -> Vec<(HeaderName, HeaderValue)> {
        let mut fields = match self {
            Self::Page(page) => page.fields.clone(),
            Self::Error(_) | Self::MaxForwards => vec![
                (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ],
        };
        match self {
            Self::Error(kind) if may_pass_later(status(*kind)) => fields.push((header::RETRY_AFTER, RETRY_AFTER)),
            Self::MaxForwards => fields.push((header::SERVER, HeaderValue::from_static(max_forwards::SERVER))),
            Self::Error(_) | Self::Page(_) => {}
        }
        if let Some(edits) = edits {
            fields.retain(|(name, _)| !edits.removes(name.as_str()));
            fields.extend(edits.add.iter().cloned());
        }
        fields
    }

    /// The body; none where the status has none (RFC 9110 section 15.3.5).
    fn body(&self) -> Bytes {
        match self {
            Self::Error(kind) => Bytes::from_static(text(*kind).as_bytes()),
            Self::MaxForwards => Bytes::from_static(max_forwards::ITSELF.as_bytes()),
            Self::Page(page) if page.status == StatusCode::NO_CONTENT => Bytes::new(),
            Self::Page(page) => page.body.clone(),
        }
    }
}

/// Whether the same request may succeed a little later.
fn may_pass_later(status: StatusCode) -> bool {
    [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status)
}

/// The status for each kind of error (RFC 9110 section 15). There is no catch-all arm, so a new kind must be added
/// here.
const fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::BadHost | Kind::BadPath | Kind::BadRequest => StatusCode::BAD_REQUEST,
        Kind::BadTarget => StatusCode::NOT_IMPLEMENTED,
        Kind::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Kind::TargetTooLong => StatusCode::URI_TOO_LONG,
        Kind::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        Kind::Loop => StatusCode::LOOP_DETECTED,
        Kind::NoRoute => StatusCode::NOT_FOUND,
        Kind::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        // 408 even if the client is gone: the access log states what happened.
        Kind::BodyTimeout | Kind::ClientGone => StatusCode::REQUEST_TIMEOUT,
        // No server is reachable, so a later attempt may succeed: 503, as HAProxy and Envoy respond, not 502.
        Kind::NoEndpoint | Kind::PoolFull | Kind::Connect | Kind::NoResources | Kind::Overloaded => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Kind::UpstreamClosed | Kind::UpstreamInvalid | Kind::UpstreamHeadTooLarge => StatusCode::BAD_GATEWAY,
        // The client of a tunnel already has its 101; the access log states what happened.
        Kind::ConnectTimeout | Kind::ResponseTimeout | Kind::TunnelTimeout => StatusCode::GATEWAY_TIMEOUT,
    }
}

const fn text(kind: Kind) -> &'static str {
    match kind {
        Kind::BadHost => "400: the Host header is missing, repeated or malformed\n",
        Kind::BadPath => "400: the path is malformed or ambiguous\n",
        Kind::BadTarget => "501: this kind of request target is not supported\n",
        Kind::BadRequest => "400: not a valid HTTP request\n",
        Kind::HeadTooLarge => "431: the request has too many or too long header fields\n",
        Kind::TargetTooLong => "414: the request target is too long\n",
        Kind::TooManyRequests => "429: too many requests from this address\n",
        Kind::Loop => "508: the request passed through this proxy too often\n",
        Kind::NoRoute => "404: no route matches this host and path\n",
        Kind::BodyTooLarge => "413: the request body is too large\n",
        Kind::BodyTimeout => "408: the request body did not arrive in time\n",
        Kind::ClientGone => "408: the client disconnected\n",
        Kind::NoEndpoint => "503: no server is available\n",
        Kind::PoolFull => "503: all servers are busy\n",
        Kind::Connect => "503: no server could be reached\n",
        Kind::NoResources => "503: this proxy has no resources left for another connection\n",
        Kind::Overloaded => "503: this proxy is short of memory\n",
        Kind::UpstreamClosed => "502: the server closed the connection before it responded\n",
        Kind::UpstreamInvalid => "502: the server's response is not valid HTTP\n",
        Kind::UpstreamHeadTooLarge => "502: the server's response has too many or too long header fields\n",
        Kind::ConnectTimeout => "504: no server could be reached in time\n",
        Kind::ResponseTimeout => "504: the server did not respond in time\n",
        Kind::TunnelTimeout => "504: the upgraded connection was silent for too long\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Side;

    #[test]
    fn the_status_shows_the_side_at_fault() {
        assert_eq!(LocalReply::MaxForwards.status(), StatusCode::OK);
        for kind in Kind::ALL {
            let status = LocalReply::Error(kind).status();
            match kind.side() {
                Side::Downstream => assert!(status.is_client_error() || kind == Kind::BadTarget, "{kind:?}"),
                Side::Edge | Side::Upstream => assert!(status.is_server_error(), "{kind:?}"),
            }
        }
    }

    fn replies() -> impl Iterator<Item = LocalReply> {
        Kind::ALL.into_iter().map(LocalReply::Error).chain([LocalReply::MaxForwards])
    }

    #[test]
    fn the_text_begins_with_the_status_and_only_503_and_429_have_retry_after() {
        for reply in replies() {
            let response = reply.response(None);
            assert!(reply.body().starts_with(response.status().as_str().as_bytes()), "{reply:?}");
            let retry_after = response.headers().contains_key(header::RETRY_AFTER);
            assert_eq!(retry_after, [503, 429].contains(&response.status().as_u16()), "{reply:?}");
        }
    }

    #[test]
    fn both_protocols_get_the_same_response() {
        for reply in replies() {
            let mut out = Vec::new();
            let sent = reply.write(&mut out, None, false, Persistence::Close, "today");
            let text = String::from_utf8(out).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let response = reply.response(None);
            assert_eq!((body.as_bytes(), body.len()), (&response.body()[..], sent));
            assert!(head.starts_with(&format!("HTTP/1.1 {} ", response.status().as_str())), "{head}");
            for (name, value) in response.headers() {
                assert!(head.contains(&format!("\r\n{name}: {}\r\n", value.to_str().unwrap())), "{name} in {head}");
            }
            assert!(head.contains(&format!("content-length: {sent}\r\nconnection: close")), "{head}");
        }
    }

    #[test]
    fn the_response_to_head_has_the_length_and_no_body() {
        let mut out = Vec::new();
        assert_eq!(LocalReply::Error(Kind::NoRoute).write(&mut out, None, true, Persistence::Stays, "today"), 0);
        assert!(out.ends_with(b"\r\ncontent-length: 41\r\n\r\n"), "{}", String::from_utf8_lossy(&out));
    }
}
