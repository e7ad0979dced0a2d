//! Construction of responses.

use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};

use crate::page::Asset;

/// Body of a response.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A response of the HTTP interface.
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

/// Returns 503 with the advice to retry soon.
pub(super) fn unavailable(why: impl Into<Bytes>) -> Response {
    retry_soon(StatusCode::SERVICE_UNAVAILABLE, why)
}

/// Returns 429 with the advice to retry soon.
pub(super) fn too_many(why: impl Into<Bytes>) -> Response {
    retry_soon(StatusCode::TOO_MANY_REQUESTS, why)
}

fn retry_soon(status: StatusCode, why: impl Into<Bytes>) -> Response {
    let mut response = text(status, why);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Returns JSON with an entity tag, or 304 if the client has it already.
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
    // Revalidated each time, so that files of different versions of the program are never mixed.
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

/// Whether `If-None-Match` contains `tag` (RFC 9110, section 13.1.2).
pub(super) fn matches<B>(request: &Request<B>, tag: &str) -> bool {
    let values = request.headers().get_all(header::IF_NONE_MATCH).iter();
    let texts = values.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    texts.map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}
