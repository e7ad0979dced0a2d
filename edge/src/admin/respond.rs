//! Which request gets which answer. Pure: a request's head and a [`Status`] in, a response out.
//!
//! A web page that a browser of the operator's network shows must not read the status by DNS rebinding,
//! that is by pointing a name of its own at this address. Such a name always has a dot and a public
//! top-level domain. Hence `Host` must be an address, a name without a dot (`localhost`, a service's
//! name) or one below a top-level domain that nobody can buy. Liveness and readiness answer any name:
//! load balancers ask by many, and there is little to learn.

use std::net::{IpAddr, Ipv6Addr};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    },
};
use http_body_util::Full;

use super::{metrics, page, status::Status};

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

/// Top-level domains that are not sold: RFC 6761, RFC 6762, and ICANN's `internal`.
const PRIVATE: [&str; 3] = ["localhost", "local", "internal"];

/// Answers a request; its body is of no interest.
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
                "not found: try /, /status.json, /metrics, /healthz or /readyz\n",
            );
        }
    };
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = text_response(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let guarded = !matches!(request.uri().path(), "/healthz" | "/readyz");
    if guarded && !request.headers().get_all(HOST).iter().all(is_local) {
        return text_response(
            StatusCode::MISDIRECTED_REQUEST,
            "ask by address, by a name without a dot, or by one below .internal, .local or .localhost\n",
        );
    }
    render(status)
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
    probe_response(status.ready, status)
}

fn probe_response(healthy: bool, status: &Status) -> Response<Full<Bytes>> {
    if healthy {
        text_response(StatusCode::OK, "ok\n")
    } else {
        text_response(StatusCode::SERVICE_UNAVAILABLE, &(status.reasons.join("\n") + "\n"))
    }
}

fn text_response(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    response(status, TEXT, text.to_owned())
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
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

/// Whether a `Host` value cannot be an attacker's name. No `Host` at all is no browser.
fn is_local(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else { return false };
    if let Some((address, _port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.split_once(':').map_or(host, |(name, _port)| name).to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    match name.rsplit_once('.') {
        None => !name.is_empty(),
        Some((_, top)) => PRIVATE.contains(&top) || name.parse::<IpAddr>().is_ok(),
    }
}
