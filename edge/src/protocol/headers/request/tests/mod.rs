mod properties;

use http::Version;

use super::*;
use crate::{
    error::Kind,
    protocol::{
        h1::{
            framing::Framing,
            head::{FieldSlots, Request, Target, parse_request},
        },
        headers::{Client, tests::fields},
    },
};

fn host_of(authority: Option<&str>, version: Version, hosts: &[&str]) -> Result<Option<String>, Kind> {
    let fields = fields(&hosts.iter().map(|host| ("host", *host)).collect::<Vec<_>>());
    let target = Target { authority, path_and_query: "/" };
    let found = HeaderSummary::of(&fields).unwrap().host(&target, version)?;
    Ok(found.map(str::to_owned))
}

/// Returns the lines of the head for an endpoint, without the request line.
fn forwarded(
    pairs: &[(&str, &str)],
    address: &str,
    trusted: &[&str],
    host: Option<&str>,
    received: Version,
    framing: Framing,
) -> Vec<String> {
    let trusted: Vec<_> = trusted.iter().map(|net| net.parse().unwrap()).collect();
    let client = Client::new(address.parse().unwrap(), false, &trusted);
    let fields = fields(pairs);
    let summary = HeaderSummary::of(&fields).unwrap();
    let line = RequestLine::new("GET", "/", received, host, &summary, framing, true);
    let mut out = Vec::new();
    write(&mut out, &line, &fields, &summary, &client);
    let text = String::from_utf8(out).unwrap();
    let head = text.strip_prefix("GET / HTTP/1.1\r\n").unwrap().strip_suffix("\r\n\r\n").unwrap();
    head.split("\r\n").map(str::to_owned).collect()
}

/// Returns the head for an endpoint and how its body ends.
fn upstream_head(request: &Request<'_>, client: &Client) -> Result<(Vec<u8>, Framing), Kind> {
    let &Request { method, target, version, fields } = request;
    let summary = HeaderSummary::of(fields)?;
    let framing = summary.lengths.of_request(version == Version::HTTP_11)?;
    let host = summary.host(&target, version)?;
    let line = RequestLine::new(method, target.path_and_query, version, host, &summary, framing, true);
    let mut out = Vec::new();
    write(&mut out, &line, fields, &summary, client);
    Ok((out, framing))
}

fn values<'a>(lines: &'a [String], name: &str) -> Vec<&'a str> {
    lines.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
}

#[test]
fn a_request_names_exactly_one_host() {
    let ok = |host: &str| Ok(Some(host.to_owned()));
    let (h10, h11, h2) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
    for (authority, version, hosts, expected) in [
        (None, h11, &["a.example"][..], ok("a.example")),
        (None, h11, &["[::1]:80"], ok("[::1]:80")),
        (None, h11, &[], Err(Kind::BadHost)),
        (None, h11, &[""], Err(Kind::BadHost)),
        (None, h11, &[":80"], Err(Kind::BadHost)),
        (None, h11, &["a", "a"], Err(Kind::BadHost)),
        (None, h11, &["a, b"], Err(Kind::BadHost)),
        (None, h11, &["user@a"], Err(Kind::BadHost)),
        (None, h11, &["a/b"], Err(Kind::BadHost)),
        (None, h11, &["caf\u{e9}"], Err(Kind::BadHost)),
        (None, h10, &[], Ok(None)),
        (Some("A.example"), h11, &["a.example"], ok("A.example")),
        (Some("a.example"), h11, &["b.example"], Err(Kind::BadHost)),
        (Some("user@a.example"), h11, &["a.example"], Err(Kind::BadHost)),
        (Some("user@a.example"), h11, &["user@a.example"], Err(Kind::BadHost)),
        (Some("a.example"), h2, &[], ok("a.example")),
        (Some("a.example"), h2, &["b.example"], Err(Kind::BadHost)),
    ] {
        assert_eq!(host_of(authority, version, hosts), expected, "{authority:?} {hosts:?}");
    }
}

#[test]
fn hop_by_hop_fields_and_those_named_in_connection_are_removed() {
    let lines = forwarded(
        &[
            ("Connection", "close, X-Mine, caf\u{e9}"),
            ("connection", "x-other,,upgrade, content-length, host, x-forwarded-for"),
            ("x-mine", "1"),
            ("X-Other", "2"),
            ("Keep-Alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic eA=="),
            ("te", "trailers"),
            ("content-length", "3"),
            ("host", "b.example"),
            ("Accept", "*/*"),
        ],
        "192.0.2.7:1",
        &[],
        Some("a.example"),
        Version::HTTP_11,
        Framing::Length(3),
    );
    assert_eq!(
        lines,
        [
            "host: a.example",
            "Accept: */*",
            "x-forwarded-for: 192.0.2.7",
            "x-real-ip: 192.0.2.7",
            "x-forwarded-proto: http",
            "x-forwarded-port: 80",
            "x-forwarded-host: a.example",
            "forwarded: for=192.0.2.7;proto=http;host=a.example",
            "via: 1.1 edge",
            "content-length: 3",
        ]
    );
}

#[test]
fn forwarding_fields_of_an_untrusted_client_are_replaced() {
    let lines = forwarded(
        &[
            ("x-forwarded-for", "1.1.1.1"),
            ("X-Forwarded-For", "2.2.2.2"),
            ("x_forwarded_for", "3.3.3.3"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("X-Forwarded-Port", "1"),
            ("X-Forwarded-Prefix", "/evil"),
            ("X-Forwarded-Server", "evil.example"),
            ("X-Forwarded-Ssl", "on"),
            ("X-Forwarded-Scheme", "https"),
            ("X-Forwarded", "for=1.1.1.1"),
            ("X-Real-IP", "1.1.1.1"),
            ("X_Real_IP", "1.1.1.1"),
            ("X-Original-URL", "/admin"),
            ("X-Rewrite-URL", "/admin"),
            ("Content_Length", "5"),
            ("transfer_encoding", "chunked"),
            ("forwarded", "for=1.1.1.1"),
            ("expect", "100-continue"),
            ("via", "1.0 before"),
        ],
        "192.0.2.7:1234",
        &[],
        Some("www.example.com:8088"),
        Version::HTTP_11,
        Framing::None,
    );
    assert_eq!(
        lines,
        [
            "host: www.example.com:8088",
            "via: 1.0 before",
            "x-forwarded-for: 192.0.2.7",
            "x-real-ip: 192.0.2.7",
            "x-forwarded-proto: http",
            "x-forwarded-port: 8088",
            "x-forwarded-host: www.example.com:8088",
            "forwarded: for=192.0.2.7;proto=http;host=\"www.example.com:8088\"",
            "via: 1.1 edge",
        ]
    );
}

#[test]
fn forwarding_fields_of_a_trusted_proxy_are_kept_and_extended() {
    let lines = forwarded(
        &[
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-for", "192.0.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "www.example.com"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-prefix", "/shop"),
            ("x-real-ip", "192.0.2.1"),
            ("forwarded", "for=192.0.2.1"),
        ],
        "10.0.0.1:1",
        &["10.0.0.0/8"],
        Some("inner.example"),
        Version::HTTP_11,
        Framing::None,
    );
    assert_eq!(values(&lines, "x-forwarded-for"), ["192.0.2.1, 192.0.2.2, 10.0.0.1"]);
    assert_eq!(values(&lines, "x-forwarded-proto"), ["https"]);
    assert_eq!(values(&lines, "x-forwarded-host"), ["www.example.com"]);
    assert_eq!(values(&lines, "x-forwarded-port"), ["8443"]);
    assert_eq!(values(&lines, "x-forwarded-prefix"), ["/shop"]);
    assert_eq!(values(&lines, "x-real-ip"), ["192.0.2.1"]);
    assert_eq!(values(&lines, "forwarded"), ["for=192.0.2.1, for=10.0.0.1;proto=http;host=inner.example"]);
    let lines = forwarded(&[], "10.0.0.1:1", &["10.0.0.0/8"], None, Version::HTTP_10, Framing::None);
    assert_eq!(values(&lines, "x-forwarded-for"), ["10.0.0.1"]);
    assert_eq!(values(&lines, "x-forwarded-proto"), ["http"]);
    assert_eq!(values(&lines, "x-forwarded-port"), ["80"]);
    assert_eq!(values(&lines, "x-real-ip"), ["10.0.0.1"]);
    assert_eq!(values(&lines, "host"), [""]);
    assert_eq!(values(&lines, "via"), ["1.0 edge"]);
}

/// A proxy that passes on the `Connection` of its client must not let that client remove or replace what it added.
#[test]
fn connection_removes_no_forwarding_field() {
    let fields = [
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "www.example.com"),
        ("x-forwarded-port", "443"),
        ("x-forwarded-prefix", "/shop"),
        ("x-real-ip", "192.0.2.1"),
        ("x-original-url", "/a"),
        ("forwarded", "for=192.0.2.1"),
        ("via", "1.1 edge"),
        ("cdn-loop", "edge"),
    ];
    let names = fields.map(|(name, _)| name).join(", ");
    let head = |connection: &str| {
        let pairs: Vec<_> = [("connection", connection)].into_iter().chain(fields).collect();
        let host = Some("a.example");
        forwarded(&pairs, "10.0.0.1:1", &["10.0.0.0/8"], host, Version::HTTP_11, Framing::None)
    };
    let lines = head(&names);
    assert_eq!(lines, head("close"));
    assert_eq!(values(&lines, "x-forwarded-for"), ["192.0.2.1, 10.0.0.1"]);
    assert_eq!(values(&lines, "x-real-ip"), ["192.0.2.1"]);
    assert_eq!(values(&lines, "via"), ["1.1 edge", "1.1 edge"]);
}

#[test]
fn without_via_a_loop_is_still_counted() {
    let pairs = [("via", "1.1 cdn"), ("cdn-loop", "other; edge=1, edge ;v=1,edge"), ("cdn-loop", "edges")];
    let pairs = fields(&pairs);
    let summary = HeaderSummary::of(&pairs).unwrap();
    assert_eq!(summary.passes, 2);
    let line = RequestLine::new("GET", "/", Version::HTTP_11, Some("a"), &summary, Framing::None, false);
    let mut out = Vec::new();
    write(&mut out, &line, &pairs, &summary, &Client::new("192.0.2.7:1".parse().unwrap(), false, &[]));
    let lines: Vec<_> = String::from_utf8(out).unwrap().split("\r\n").map(str::to_owned).collect();
    assert_eq!(values(&lines, "via"), ["1.1 cdn"], "those of others are passed on");
    assert_eq!(values(&lines, "cdn-loop"), ["other; edge=1, edge ;v=1,edge", "edges", "edge"]);
}

#[test]
fn the_forwarded_port_is_the_one_that_the_client_named() {
    for (host, expected) in [
        (Some("a.example"), "80"),
        (Some("a.example:8443"), "8443"),
        (Some("a.example:"), "80"),
        (Some("a.example:99999"), "80"),
        (Some("a.example:+1"), "80"),
        (Some("[2001:db8::1]"), "80"),
        (Some("[2001:db8::1]:8080"), "8080"),
        (None, "80"),
    ] {
        let lines = forwarded(&[], "192.0.2.7:1", &[], host, Version::HTTP_11, Framing::None);
        assert_eq!(values(&lines, "x-forwarded-port"), [expected], "{host:?}");
    }
}

#[test]
fn an_empty_body_is_declared_as_the_client_did() {
    let length = |method: &str, pairs: &[(&str, &str)], received: Version| {
        let fields = fields(pairs);
        let summary = HeaderSummary::of(&fields).unwrap();
        let framing = Framing::None;
        let line = RequestLine {
            method,
            target: "/",
            received,
            host: Some("a"),
            upgrade: None,
            framing,
            via: true,
            edits: None,
        };
        let mut out = Vec::new();
        write(&mut out, &line, &fields, &summary, &Client::new("192.0.2.7:1".parse().unwrap(), false, &[]));
        String::from_utf8(out).unwrap().matches("content-length: 0\r\n").count()
    };
    let declared = [("Content-Length", "0")];
    for (method, pairs, received, expected) in [
        ("POST", &declared[..], Version::HTTP_11, 1),
        ("DELETE", &declared, Version::HTTP_11, 1),
        ("POST", &declared, Version::HTTP_10, 1),
        ("POST", &declared, Version::HTTP_2, 1),
        ("POST", &[], Version::HTTP_11, 0),
        ("POST", &[], Version::HTTP_2, 1),
        ("PATCH", &[], Version::HTTP_2, 1),
        ("GET", &[], Version::HTTP_2, 0),
    ] {
        assert_eq!(length(method, pairs, received), expected, "{method} {pairs:?} {received:?}");
    }
}

#[test]
fn a_head_that_names_too_many_fields_in_connection_is_rejected() {
    let names = |count: usize| (0..count).map(|name| format!("x-{name}")).collect::<Vec<_>>().join(",");
    let (most, more) = (names(32), names(33));
    assert!(HeaderSummary::of(&fields(&[("Connection", &most)])).is_ok());
    assert_eq!(HeaderSummary::of(&fields(&[("Connection", &more)])).unwrap_err(), Kind::BadRequest);
    assert_eq!(
        HeaderSummary::of(&fields(&[("Connection", &most), ("Connection", "y")])).unwrap_err(),
        Kind::BadRequest
    );
}

#[test]
fn nothing_contradicts_what_a_trusted_proxy_describes() {
    let lines = forwarded(
        &[("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https")],
        "10.0.0.1:1",
        &["10.0.0.0/8"],
        Some("www.example.com"),
        Version::HTTP_11,
        Framing::None,
    );
    assert_eq!(values(&lines, "x-forwarded-for"), ["192.0.2.1, 10.0.0.1"]);
    assert_eq!(values(&lines, "x-forwarded-proto"), ["https"]);
    for added in ["x-real-ip", "x-forwarded-port"] {
        assert_eq!(values(&lines, added), [""; 0], "{added}");
    }
}

#[test]
fn an_upgrade_is_asked_for_only_as_the_client_did_and_never_h2c() {
    for (connection, upgrade, version, expected) in [
        ("Upgrade", "websocket", Version::HTTP_11, Some("websocket")),
        ("keep-alive, upgrade", "websocket", Version::HTTP_11, Some("websocket")),
        ("keep-alive", "websocket", Version::HTTP_11, None),
        ("upgrade", "websocket", Version::HTTP_10, None),
        ("upgrade", "websocket", Version::HTTP_2, None),
        ("upgrade", "h2c", Version::HTTP_11, None),
        ("upgrade", "websocket, H2C", Version::HTTP_11, None),
    ] {
        let fields = fields(&[("connection", connection), ("upgrade", upgrade)]);
        let found = HeaderSummary::of(&fields).unwrap().upgrade(version);
        assert_eq!(found, expected.map(str::as_bytes), "{connection} {upgrade}");
    }
    let pairs = [("connection", "upgrade"), ("upgrade", "websocket")];
    // A body does not change that (RFC 9110 section 7.8).
    for framing in [Framing::None, Framing::Length(3), Framing::Chunked] {
        let lines = forwarded(&pairs, "192.0.2.7:1", &[], Some("a"), Version::HTTP_11, framing);
        assert_eq!((values(&lines, "connection"), values(&lines, "upgrade")), (vec!["upgrade"], vec!["websocket"]));
    }
}

#[test]
fn cookies_of_http_2_become_one_field() {
    let pairs = [("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2")];
    let lines = forwarded(&pairs, "192.0.2.7:1", &[], Some("a"), Version::HTTP_2, Framing::None);
    assert_eq!(values(&lines, "cookie"), ["a=1; b=2"]);
    assert_eq!(values(&lines, "via"), ["2 edge"]);
    let lines = forwarded(&pairs, "192.0.2.7:1", &[], Some("a"), Version::HTTP_11, Framing::None);
    assert_eq!(values(&lines, "cookie"), ["a=1", "b=2"], "HTTP/1 is passed on as it came");
}

#[test]
fn passes_are_counted_in_all_via_fields() {
    let fields = fields(&[("via", "1.1 edge, 1.0 other"), ("Via", "2 edge,1.1 edge"), ("via", "1.1 edges")]);
    assert_eq!(HeaderSummary::of(&fields).unwrap().passes, 3);
}
