//! How answers are made.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};

use crate::page::Asset;

/// A body of ours.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer of ours.
pub type Response = http::Response<Body>;

pub(super) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).boxed_unsync()
}

pub(super) fn typed(status: StatusCode, content_type: &'static str, bytes: Bytes) -> Response {
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Response {
    typed(status, "text/plain; charset=utf-8", text.into())
}

pub(super) fn json(bytes: Bytes) -> Response {
    typed(StatusCode::OK, "application/json", bytes)
}

/// 503 with the hint to come back soon.
pub(super) fn later(why: impl Into<Bytes>) -> Response {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// JSON with an entity tag, or 304 for who has it already.
pub(super) fn tagged<B>(request: &Request<B>, tag: &str, body: impl FnOnce() -> Bytes) -> Response {
    let mut response = if matches(request, tag) { not_modified() } else { json(body()) };
    set_tag(&mut response, tag);
    response
}

pub(super) fn asset<B>(request: &Request<B>, asset: &Asset) -> Response {
    let tag = asset.etag();
    let mut response = if matches(request, &tag) {
        not_modified()
    } else {
        typed(StatusCode::OK, asset.content_type, Bytes::from_static(asset.body.as_bytes()))
    };
    set_tag(&mut response, &tag);
    // Asked for each time, so that a new program's page is never mixed with an old one's.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn not_modified() -> Response {
    let mut response = Response::new(Empty::new().boxed_unsync());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response
}

fn set_tag(response: &mut Response, tag: &str) {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
}

/// Whether the client says that it has what `tag` stands for. RFC 9110 section 13.1.2.
pub(super) fn matches<B>(request: &Request<B>, tag: &str) -> bool {
    let values = request.headers().get_all(header::IF_NONE_MATCH).iter();
    let texts = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    texts.map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}
