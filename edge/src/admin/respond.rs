//! The response to each request. Pure: it depends only on the head of the request and a [`Status`].
//!
//! `Host` must be a private name, so that a hostile web page cannot read the status by DNS rebinding: see
//! [`net::host`]. Liveness and readiness accept any `Host`: load balancers use many names, and those responses reveal
//! little.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, RETRY_AFTER,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use http_body_util::Full;
use net::host::Host;

use super::{metrics, page, status::Status};

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// Returns the response to a request, whose body is ignored.
pub(super) fn respond<B>(request: &Request<B>, status: &Status) -> Response<Full<Bytes>> {
    let render = match request.uri().path() {
        "/" => render_page,
        "/status.json" => render_json,
        "/metrics" => render_metrics,
        "/healthz" => render_health,
        "/readyz" => render_readiness,
        _ => {
            return text_response(
                StatusCode::NOT_FOUND,
                "not found: try /, /status.json, /metrics, /healthz or /readyz, or POST to /pools/NAME/endpoints/ADDR/drain, \
                 ready or maintenance\n",
            );
        }
    };
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = text_response(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let requires_private_host = !matches!(request.uri().path(), "/healthz" | "/readyz");
    if let Some(refusal) = requires_private_host.then(|| misdirected(request.headers())).flatten() {
        return refusal;
    }
    render(status)
}

/// Returns the response to a request whose `Host` could be a public name; `None` if it is private.
pub(super) fn misdirected(headers: &HeaderMap) -> Option<Response<Full<Bytes>>> {
    let is_private = headers.get_all(HOST).iter().all(is_private_host);
    (!is_private).then(|| {
        text_response(
            StatusCode::MISDIRECTED_REQUEST,
            "the host must be an IP address, a name without a dot, or a name below .internal, .local or .localhost\n",
        )
    })
}

fn render_page(status: &Status) -> Response<Full<Bytes>> {
    let mut response = response(StatusCode::OK, HTML, page::render(status));
    if let Ok(policy) = HeaderValue::from_str(&page::policy()) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn render_json(status: &Status) -> Response<Full<Bytes>> {
    match serde_json::to_string_pretty(status) {
        Ok(json) => response(StatusCode::OK, JSON, json + "\n"),
        Err(error) => text_response(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn render_metrics(status: &Status) -> Response<Full<Bytes>> {
    match metrics::render(status) {
        Ok(text) => response(StatusCode::OK, metrics::CONTENT_TYPE, text),
        Err(error) => text_response(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn render_health(status: &Status) -> Response<Full<Bytes>> {
    probe_response(status.alive, status)
}

fn render_readiness(status: &Status) -> Response<Full<Bytes>> {
    let mut response = probe_response(status.ready, status);
    if status.draining {
        // To another edge in front, that means: no new requests, and no fault.
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn probe_response(healthy: bool, status: &Status) -> Response<Full<Bytes>> {
    if healthy {
        text_response(StatusCode::OK, "ok\n")
    } else {
        text_response(StatusCode::SERVICE_UNAVAILABLE, &(status.reasons.join("\n") + "\n"))
    }
}

pub(super) fn text_response(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    response(status, TEXT, text.to_owned())
}

pub(super) fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    for (name, value) in [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether the value of `Host` cannot be a name of an attacker. A request without `Host` is not from a browser.
fn is_private_host(host: &HeaderValue) -> bool {
    Host::parse(host).is_some_and(|host| host.is_private())
}
