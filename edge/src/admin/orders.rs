//! The operator's orders to endpoints: `POST /pools/NAME/endpoints/ADDR/drain`, `ready` and `maintenance`.
//!
//! The only requests to the admin listener that change anything, so they need a token (RFC 6750). A web page cannot
//! send it: browsers ask for permission before they send `Authorization` to another origin, and get none here. The
//! order goes to the control thread, which makes every decision about endpoints.

use std::{
    borrow::Cow,
    net::SocketAddr,
    path::Path,
    sync::PoisonError,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, AUTHORIZATION, CONNECTION, WWW_AUTHENTICATE},
};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use serde::Serialize;
use subtle::ConstantTimeEq;
use tokio::{sync::oneshot, time::timeout};

use super::{
    respond::{misdirected, response, text_response},
    state::{AdminState, EndpointOrder},
};
use crate::{
    config::token,
    upstream::{manager::NotFound, order::Order},
};

/// The maximum size of a body, which has no meaning, in bytes.
const MAX_BODY: usize = 1024;
/// How long the body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// What a path of an order names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pool: Cow<'a, str>,
    endpoint: Cow<'a, str>,
    order: Order,
}

/// Who is allowed to give orders.
#[derive(Debug, PartialEq, Eq)]
enum Access {
    Granted,
    /// No token is configured.
    Closed,
    /// The token is missing or wrong.
    Denied,
}

/// The response to an order, as JSON.
#[derive(Debug, Serialize)]
struct Accepted<'a> {
    pool: &'a str,
    endpoint: SocketAddr,
    /// The order that applies now.
    order: &'static str,
    /// The order before.
    before: &'static str,
}

impl<'a> Target<'a> {
    /// Parses a path; `None` if it is not that of an order.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        let parts: Vec<_> = path.split('/').collect();
        let ["", "pools", pool, "endpoints", endpoint, order] = parts[..] else { return None };
        Some(Self { pool: decoded(pool)?, endpoint: decoded(endpoint)?, order: Order::named(order)? })
    }
}

/// Returns the response to the request of `client` for an order.
pub(super) async fn respond<B>(
    request: Request<B>,
    admin: &AdminState,
    client: Option<SocketAddr>,
) -> Response<Full<Bytes>>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let (head, body) = request.into_parts();
    let Some(Target { pool, endpoint, order }) = Target::of(head.uri.path()) else {
        return text_response(StatusCode::NOT_FOUND, "not found\n");
    };
    if head.method != Method::POST {
        let mut response = text_response(StatusCode::METHOD_NOT_ALLOWED, "only POST is allowed\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    if let Some(refusal) = misdirected(&head.headers) {
        return refusal;
    }
    let snapshot = admin.snapshot.load_full();
    let refusal = match access(snapshot.config.admin_token_file.as_deref(), &head.headers) {
        Ok(Access::Granted) => None,
        Ok(Access::Closed) => Some(text_response(
            StatusCode::FORBIDDEN,
            "no token is configured, so nobody may change the state of endpoints: write a token into a file, and name it \
             with --admin-token-file (EDGE_ADMIN_TOKEN_FILE) or admin_token_file\n",
        )),
        Ok(Access::Denied) => {
            let text = "the token is missing or wrong: send it as \"Authorization: Bearer TOKEN\"\n";
            let mut response = text_response(StatusCode::UNAUTHORIZED, text);
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"edge\""));
            Some(response)
        }
        Err(error) => {
            tracing::error!(%error, "cannot check the token of an order");
            Some(text_response(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the token cannot be read: see the log of the edge\n",
            ))
        }
    };
    if let Some(refusal) = refusal {
        log_refusal(admin, client, refusal.status());
        return closing(refusal);
    }
    if let Some(refusal) = drop_body(body).await {
        return closing(refusal);
    }
    let Ok(address) = endpoint.parse::<SocketAddr>() else { return unknown(NotFound::Endpoint, &pool, &endpoint) };
    let (answer, answered) = oneshot::channel();
    let request = EndpointOrder { pool: pool.to_string(), endpoint: address, order, client, answer };
    // Fails once the edge drains.
    let outcome = match admin.orders.send(request).await {
        Ok(()) => answered.await.ok(),
        Err(_) => None,
    };
    match outcome {
        Some(Ok(before)) => {
            let accepted = Accepted { pool: &pool, endpoint: address, order: order.label(), before: before.label() };
            accepted.response()
        }
        Some(Err(not_found)) => unknown(not_found, &pool, &endpoint),
        None => text_response(StatusCode::SERVICE_UNAVAILABLE, "the edge is stopping\n"),
    }
}

impl Accepted<'_> {
    fn response(&self) -> Response<Full<Bytes>> {
        match serde_json::to_string(self) {
            Ok(json) => response(StatusCode::OK, "application/json", json + "\n"),
            Err(error) => text_response(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        }
    }
}

/// Compares the credentials of a request with the token in `file`. The file is read each time, so that it can be
/// replaced while the edge runs.
///
/// # Errors
/// The token cannot be read.
fn access(file: Option<&Path>, headers: &HeaderMap) -> Result<Access, token::TokenError> {
    let Some(expected) = file.map(token::read).transpose()?.flatten() else { return Ok(Access::Closed) };
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Ok(Access::Denied) };
    let value = value.as_bytes();
    let scheme = b"Bearer ".len().min(value.len());
    let (scheme, token) = value.split_at(scheme);
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer ");
    // The whole value is compared, so the time reveals only the length.
    let is_equal: bool = expected.as_bytes().ct_eq(&[b"Bearer ", token.trim_ascii()].concat()).into();
    Ok(if is_bearer && is_equal { Access::Granted } else { Access::Denied })
}

/// Reads the body to its end, so that the connection can be used again. Returns a response if it is too large or
/// incomplete.
async fn drop_body<B>(body: B) -> Option<Response<Full<Bytes>>>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let read = timeout(BODY_TIMEOUT, Box::pin(Limited::new(body, MAX_BODY).collect())).await;
    match read {
        Ok(Ok(_)) => None,
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Some(text_response(StatusCode::PAYLOAD_TOO_LARGE, "an order has no body\n"))
        }
        Ok(Err(_)) => Some(text_response(StatusCode::BAD_REQUEST, "the body is incomplete\n")),
        Err(_) => Some(text_response(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time\n")),
    }
}

/// Makes the connection close after a response, because the body of the request was not read.
fn closing(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn unknown(not_found: NotFound, pool: &str, endpoint: &str) -> Response<Full<Bytes>> {
    let text = match not_found {
        NotFound::Pool => format!("there is no pool {pool:?}: /status.json lists the pools\n"),
        NotFound::Endpoint => {
            format!("the pool {pool:?} has no endpoint {endpoint:?}: /status.json lists its endpoints\n")
        }
    };
    text_response(StatusCode::NOT_FOUND, &text)
}

/// Logs that an order was refused, at most once a second.
fn log_refusal(admin: &AdminState, client: Option<SocketAddr>, status: StatusCode) {
    let limit = admin.refused_orders.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(omitted) = limit.admit(Instant::now().into()) {
        let client = client.map(tracing::field::display);
        tracing::warn!(client, status = status.as_u16(), omitted, "an order to an endpoint is refused");
    }
}

/// Decodes `%XX`; `None` if that is not valid, or not UTF-8. Brackets of an IPv6 address may be encoded.
fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.contains('%') {
        return Some(segment.into());
    }
    let mut parts = segment.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().map(Cow::from)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn target(path: &str) -> Option<(String, String, Order)> {
        Target::of(path).map(|it| (it.pool.into_owned(), it.endpoint.into_owned(), it.order))
    }

    #[test]
    fn path_names_a_pool_an_endpoint_and_an_order() {
        for (path, pool, endpoint, order) in [
            ("/pools/web/endpoints/10.0.0.1:80/drain", "web", "10.0.0.1:80", Order::Drain),
            ("/pools/web/endpoints/[::1]:80/ready", "web", "[::1]:80", Order::Ready),
            ("/pools/a-b/endpoints/%5B::1%5d%3A80/maintenance", "a-b", "[::1]:80", Order::Maintenance),
            ("/pools/%77eb/endpoints//drain", "web", "", Order::Drain),
        ] {
            assert_eq!(target(path), Some((pool.to_owned(), endpoint.to_owned(), order)), "{path}");
        }
        for path in [
            "/",
            "/pools",
            "/pools/web/endpoints/10.0.0.1:80",
            "/pools/web/endpoints/10.0.0.1:80/stop",
            "/pools/web/endpoints/10.0.0.1:80/Drain",
            "/pools/web/endpoints/10.0.0.1:80/drain/",
            "/pools/web/endpoints/10.0.0.1:80/drain/x",
            "//pools/web/endpoints/10.0.0.1:80/drain",
            "/pool/web/endpoints/10.0.0.1:80/drain",
            "/pools/web/endpoints/%zz/drain",
            "/pools/web/endpoints/%4/drain",
            "/pools/web/endpoints/%+4/drain",
            "/pools/web/endpoints/%ff/drain",
            "/pools/web/endpoints/%\u{e9}/drain",
        ] {
            assert_eq!(target(path), None, "{path}");
        }
    }

    fn access_with(values: &[&str], token: &str) -> Result<Access, token::TokenError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, token).unwrap();
        let values = values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_str(value).unwrap()));
        access(Some(&file), &values.collect())
    }

    #[test]
    fn only_the_token_in_the_bearer_scheme_grants_access() {
        for value in ["Bearer secret", "bearer secret", "BEARER  secret", "Bearer secret "] {
            assert_eq!(access_with(&[value], "secret\n").unwrap(), Access::Granted, "{value:?}");
        }
        for value in
            ["", "Bearer", "Bearer ", "secret", "Basic secret", "Bearer secre", "Bearer secrets", "Bearer Secret"]
        {
            assert_eq!(access_with(&[value], "secret\n").unwrap(), Access::Denied, "{value:?}");
        }
        assert_eq!(access_with(&[], "secret").unwrap(), Access::Denied);
        assert_eq!(access_with(&["Bearer secret", "Bearer secret"], "secret").unwrap(), Access::Denied);
    }

    #[test]
    fn without_a_token_nobody_has_access() {
        for value in ["Bearer ", "Bearer x", ""] {
            assert_eq!(access_with(&[value], " \n").unwrap(), Access::Closed, "{value:?}");
        }
        assert_eq!(access(None, &HeaderMap::new()).unwrap(), Access::Closed);
        assert!(access(Some(Path::new("/nowhere/token")), &HeaderMap::new()).is_err());
    }
}
