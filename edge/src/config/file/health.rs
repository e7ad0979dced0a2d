//! Builds the health check of a pool from its section of the file.

use std::path::Path;

use http::{HeaderName, HeaderValue, Method, uri::PathAndQuery};
use settings::Section;

use super::kind;
use crate::config::{HealthCheck, Protocol, TlsCheck, Trust, value};

/// Converts the section. Paths in it are relative to `folder`.
pub(super) fn health(section: &mut Section<'_>, folder: &Path) -> HealthCheck {
    let default = HealthCheck::default();
    let interval = section.get("interval", &kind::DURATION).unwrap_or(default.interval);
    let fast_interval = section.get("fast_interval", &kind::DURATION);
    if fast_interval.is_some_and(|fast| fast > interval) {
        let message = format!("is longer than interval: write at most {}", humantime::format_duration(interval));
        section.problem("fast_interval", message);
    }
    let idle_interval = section.get("idle_interval", &kind::DURATION);
    if idle_interval.is_some_and(|idle| idle < interval) {
        let message = format!("is shorter than interval: write at least {}", humantime::format_duration(interval));
        section.problem("idle_interval", message);
    }
    let path = section.get("path", &kind::CHECK_PATH);
    let chosen = section.get("protocol", &kind::CHECK_PROTOCOL);
    let protocol = chosen.unwrap_or(if section.has("path") { Protocol::Http } else { Protocol::Tcp });
    let (is_http, is_grpc) = (protocol == Protocol::Http, protocol == Protocol::Grpc);
    let method = section.get("method", &kind::CHECK_METHOD);
    let headers = headers(section);
    let body = section.get("body", &kind::CHECK_BODY);
    if method == Some(Method::HEAD) && body.is_some() {
        section.problem("body", "needs a method other than HEAD, whose responses have no body");
    }
    let service = section.get("service", &kind::SERVICE);
    let expect = section.get("expect", &kind::EXPECT).filter(|_| !is_grpc);
    let has_tls = section.has("tls");
    let tls = section.switch("tls", |section| tls(section, folder)).filter(|_| has_tls);
    report_ineffective(section, protocol, chosen.is_some(), tls.is_some());
    HealthCheck {
        path: path.or(Some(PathAndQuery::from_static("/"))).filter(|_| is_http),
        method: method.filter(|_| is_http).unwrap_or(default.method),
        grpc: is_grpc.then(|| service.unwrap_or_default()),
        port: section.get("port", &kind::PORT),
        host: section.get("host", &kind::CHECK_HOST),
        headers: if is_http || is_grpc { headers } else { Vec::new() },
        expect: expect.unwrap_or(default.expect),
        body: body.filter(|_| is_http),
        tls,
        interval,
        fast_interval: fast_interval.unwrap_or(default.fast_interval.min(interval)),
        idle_interval,
        timeout: section.get("timeout", &kind::DURATION).unwrap_or(default.timeout),
        rise: section.get("rise", &kind::CONSECUTIVE).unwrap_or(default.rise),
        fall: section.get("fall", &kind::CONSECUTIVE).unwrap_or(default.fall),
    }
}

/// Reports the keys that this protocol does not use. `is_chosen`: the file names it.
fn report_ineffective(section: &Section<'_>, protocol: Protocol, is_chosen: bool, has_tls: bool) {
    const HTTP: [&str; 4] = ["path", "method", "expect", "body"];
    let keys: &[&str] = match protocol {
        Protocol::Http => &["service"],
        Protocol::Grpc => &HTTP,
        Protocol::Tcp => &["path", "method", "expect", "body", "service", "headers", "host"],
    };
    // The name in the certificate is that of the host.
    for key in keys.iter().filter(|key| section.has(key) && !(has_tls && **key == "host")) {
        let message = match protocol {
            _ if *key == "service" => "has no effect without protocol = \"grpc\"",
            Protocol::Tcp if is_chosen => "has no effect with protocol = \"tcp\": the check only connects",
            Protocol::Tcp => "has no effect without path: the check only connects",
            Protocol::Grpc => "has no effect with protocol = \"grpc\": the check asks for a service",
            Protocol::Http => "has no effect with protocol = \"http\"",
        };
        section.warning(key, message);
    }
}

/// Converts the further fields of the request.
fn headers(section: &mut Section<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (name, text) in section.texts("headers") {
        let key = format!("headers.{}", name.get_ref());
        match value::check_field(name.get_ref(), text.get_ref()) {
            Ok((field, _)) if headers.iter().any(|(other, _)| *other == field) => {
                section.problem_at(&name.span(), &key, "is given twice: remove one of them");
            }
            Ok(field) => headers.push(field),
            Err(message) => section.problem_at(&text.span(), &key, message),
        }
    }
    headers
}

fn tls(section: &mut Section<'_>, folder: &Path) -> TlsCheck {
    let ca = section.get("ca", &kind::FILE).map(|file| folder.join(file));
    let verify = section.get("verify", &kind::BOOLEAN).unwrap_or(true);
    if section.has("ca") && !verify {
        section.problem("verify", "contradicts ca: without verification no authority is needed; remove one of the two");
    }
    let trust = match ca {
        _ if !verify => Trust::Any,
        Some(file) => Trust::File(file),
        None => Trust::System,
    };
    TlsCheck { trust, server_name: section.get("server_name", &kind::CHECK_SERVER_NAME) }
}
