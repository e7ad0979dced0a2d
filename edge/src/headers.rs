//! What a proxy does to the head of a message. Pure: heads in, heads out.
//!
//! Hop-by-hop fields go first (RFC 9110 section 7.6.1), then the edge adds its own; the other way round
//! a client could name `X-Forwarded-For` in `Connection` and have it deleted (CVE-2024-45410).

use std::{
    cell::RefCell,
    net::{IpAddr, SocketAddr},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};
use ipnet::IpNet;

use crate::error::Kind;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What is between two neighbours only and never forwarded.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What the edge itself saw of a client, with the header values made of it once per connection.
#[derive(Debug)]
pub struct Client {
    /// The other end of the connection; an IPv4 client of a dual-stack socket shows as IPv4.
    pub address: SocketAddr,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Whether what it says in `X-Forwarded-*` and `Forwarded` is kept.
    trusted: bool,
    ip: HeaderValue,
    /// `Forwarded` up to the host, which is the request's.
    forwarded: String,
    /// The last host and the `Forwarded` made with it: clients seldom change hosts on a connection.
    last: RefCell<Option<(HeaderValue, HeaderValue)>>,
}

impl Client {
    /// Notes who is at the other end.
    #[must_use]
    pub fn new(address: SocketAddr, tls: bool, trusted_proxies: &[IpNet]) -> Self {
        let ip = address.ip().to_canonical();
        let node = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            // RFC 7239 section 6: an IPv6 address is bracketed, and so it is quoted.
            IpAddr::V6(ip) => format!("\"[{ip}]\""),
        };
        let proto = if tls { "https" } else { "http" };
        Self {
            address: SocketAddr::new(ip, address.port()),
            tls,
            trusted: trusted_proxies.iter().any(|net| net.contains(&ip)),
            ip: text(&ip.to_string()),
            forwarded: format!("for={node};proto={proto};host="),
            last: RefCell::new(None),
        }
    }

    fn proto(&self) -> HeaderValue {
        HeaderValue::from_static(if self.tls { "https" } else { "http" })
    }

    fn forwarded(&self, host: &HeaderValue) -> HeaderValue {
        let mut last = self.last.borrow_mut();
        match &*last {
            Some((of, value)) if of == host => value.clone(),
            _ => {
                let host_text = host.to_str().unwrap_or_default();
                // A port or a bracket makes the host more than a token (RFC 7239 section 4).
                let plain = host_text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte));
                let quote = if plain { "" } else { "\"" };
                let value = text(&format!("{}{quote}{host_text}{quote}", self.forwarded));
                *last = Some((host.clone(), value.clone()));
                value
            }
        }
    }
}

/// The host that a request is for: the only `Host`, or the authority of its target.
///
/// # Errors
/// [`Kind::BadTarget`] for CONNECT, which the edge does not serve; [`Kind::BadHost`] when `Host` is
/// missing (RFC 9112 section 3.2), repeated, no host, or not the authority of an absolute target. A
/// proxy that let two names pass would route by one and the upstream by the other.
pub fn host(method: &Method, uri: &Uri, version: Version, headers: &HeaderMap) -> Result<Option<HeaderValue>, Kind> {
    if method == Method::CONNECT {
        return Err(Kind::BadTarget);
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Kind::BadHost);
    }
    match (uri.authority(), host) {
        (None, Some(host)) if is_host(host.as_bytes()) => Ok(Some(host.clone())),
        (Some(authority), host) if is_host(authority.as_str().as_bytes()) => {
            if host.is_some_and(|host| !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes())) {
                return Err(Kind::BadHost);
            }
            HeaderValue::from_str(authority.as_str()).map(Some).map_err(|_| Kind::BadHost)
        }
        (None, None) if version == Version::HTTP_10 => Ok(None),
        _ => Err(Kind::BadHost),
    }
}

/// Whether this is `uri-host [ ":" port ]` as far as a proxy must know: no user, list, space or path.
fn is_host(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes[0] != b':'
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte))
}

/// The protocol that a request asks to switch to, if the edge lets it: not h2c, by which a client
/// would get past the edge's routes (RFC 9113 has withdrawn that upgrade).
#[must_use]
pub fn upgrade(version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    let protocol = headers.get(header::UPGRADE)?;
    let asked = version == Version::HTTP_11
        && tokens(headers, &header::CONNECTION).any(|token| token.eq_ignore_ascii_case(b"upgrade"));
    let h2c =
        protocol.as_bytes().split(|byte| *byte == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(b"h2c"));
    (asked && !h2c).then(|| protocol.clone())
}

/// Takes off what is between two neighbours only: the fixed set and all that `Connection` names.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = tokens(headers, &header::CONNECTION)
            .filter_map(|token| HeaderName::from_bytes(token).ok())
            // Framing and routing are the edge's to decide, whatever a client names here.
            .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Makes the head that goes upstream out of the one that came, hop-by-hop fields already gone.
pub fn forward(headers: &mut HeaderMap, client: &Client, host: Option<&HeaderValue>, received: Version) {
    // The body is not asked for before the upstream is connected, which is what 100-continue is for;
    // hyper answers it when the body is first read.
    headers.remove(header::EXPECT);
    strip_look_alikes(headers);
    // HTTP/1.1 asks for the field, also where an HTTP/1.0 client left it out (RFC 9112 section 3.2).
    headers.insert(header::HOST, host.cloned().unwrap_or_else(|| HeaderValue::from_static("")));
    if received == Version::HTTP_2 {
        join_cookies(headers);
    }
    if client.trusted {
        let chain = joined(headers, &X_FORWARDED_FOR, &client.ip);
        headers.insert(X_FORWARDED_FOR, chain);
        headers.entry(X_FORWARDED_PROTO).or_insert_with(|| client.proto());
        if let Some(host) = host {
            headers.entry(X_FORWARDED_HOST).or_insert_with(|| host.clone());
            let chain = joined(headers, &header::FORWARDED, &client.forwarded(host));
            headers.insert(header::FORWARDED, chain);
        }
    } else {
        headers.insert(X_FORWARDED_FOR, client.ip.clone());
        headers.insert(X_FORWARDED_PROTO, client.proto());
        match host {
            Some(host) => {
                headers.insert(X_FORWARDED_HOST, host.clone());
                headers.insert(header::FORWARDED, client.forwarded(host));
            }
            None => {
                headers.remove(X_FORWARDED_HOST);
                headers.remove(header::FORWARDED);
            }
        }
    }
    headers.append(header::VIA, via(received));
}

/// RFC 9110 section 7.6.3: the protocol it was received with, and who forwards it.
fn via(received: Version) -> HeaderValue {
    HeaderValue::from_static(match received {
        Version::HTTP_10 => "1.0 edge",
        Version::HTTP_2 => "2 edge",
        _ => "1.1 edge",
    })
}

/// All values of a list field in one, with one more at the end.
fn joined(headers: &HeaderMap, name: &HeaderName, last: &HeaderValue) -> HeaderValue {
    let mut bytes = Vec::new();
    for value in headers.get_all(name) {
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b", ");
    }
    bytes.extend_from_slice(last.as_bytes());
    HeaderValue::from_bytes(&bytes).unwrap_or_else(|_| last.clone())
}

/// Takes off `X_Forwarded_For` and the like: many an application server cannot tell `_` from `-`.
fn strip_look_alikes(headers: &mut HeaderMap) {
    let alike = |name: &&HeaderName| {
        let name = name.as_str();
        name.starts_with("x_") || (name.starts_with("x-forwarded") && name.contains('_'))
    };
    let alike: Vec<HeaderName> = headers.keys().filter(alike).cloned().collect();
    for name in alike {
        let meant = name.as_str().replace('_', "-");
        if [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST].iter().any(|own| *own == *meant) {
            headers.remove(name);
        }
    }
}

/// HTTP/2 may spread cookies over several fields, HTTP/1.1 has one for all (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// How often a request says it has passed an edge.
#[must_use]
pub fn passed(headers: &HeaderMap) -> usize {
    tokens(headers, &header::VIA).filter(|hop| hop.ends_with(b" edge")).count()
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let lists = headers.get_all(name).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    lists.map(<[u8]>::trim_ascii)
}

/// A header value of text that is known to be visible ASCII.
fn text(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    fn client(address: &str, trusted: &[&str]) -> Client {
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        Client::new(address.parse().unwrap(), false, &trusted)
    }

    fn host_of(uri: &str, version: Version, hosts: &[&str]) -> Result<Option<String>, Kind> {
        let headers = map(&hosts.iter().map(|host| ("host", *host)).collect::<Vec<_>>());
        let found = host(&Method::GET, &uri.parse().unwrap(), version, &headers)?;
        Ok(found.map(|value| value.to_str().unwrap().to_owned()))
    }

    #[test]
    fn a_request_names_exactly_one_host() {
        let ok = |host: &str| Ok(Some(host.to_owned()));
        let (h10, h11, h2) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
        for (uri, version, hosts, expected) in [
            ("/", h11, &["a.example"][..], ok("a.example")),
            ("/", h11, &["[::1]:80"], ok("[::1]:80")),
            ("/", h11, &[], Err(Kind::BadHost)),
            ("/", h11, &[""], Err(Kind::BadHost)),
            ("/", h11, &["a", "a"], Err(Kind::BadHost)),
            ("/", h11, &["a, b"], Err(Kind::BadHost)),
            ("/", h11, &["user@a"], Err(Kind::BadHost)),
            ("/", h11, &["a/b"], Err(Kind::BadHost)),
            ("/", h10, &[], Ok(None)),
            ("http://A.example/", h11, &["a.example"], ok("A.example")),
            ("http://a.example/", h11, &["b.example"], Err(Kind::BadHost)),
            ("http://user@a.example/", h11, &["a.example"], Err(Kind::BadHost)),
            ("https://a.example/", h2, &[], ok("a.example")),
            ("https://a.example/", h2, &["b.example"], Err(Kind::BadHost)),
        ] {
            assert_eq!(host_of(uri, version, hosts), expected, "{uri} {hosts:?}");
        }
    }

    #[test]
    fn connect_is_not_served() {
        let uri = "a.example:443".parse().unwrap();
        let headers = map(&[("host", "a.example:443")]);
        assert_eq!(host(&Method::CONNECT, &uri, Version::HTTP_11, &headers), Err(Kind::BadTarget));
    }

    #[test]
    fn hop_by_hop_fields_and_those_that_connection_names_are_stripped() {
        let mut headers = map(&[
            ("connection", "close, X-Mine, caf\u{e9}"),
            ("connection", "x-other,,upgrade, content-length, host"),
            ("x-mine", "1"),
            ("x-other", "2"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("content-length", "3"),
            ("host", "a.example"),
            ("accept", "*/*"),
        ]);
        strip_hop_by_hop(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "content-length", "host"]);
    }

    #[test]
    fn what_a_stranger_says_about_itself_is_replaced() {
        let mut headers = map(&[
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "for=1.1.1.1"),
            ("expect", "100-continue"),
            ("via", "1.0 before"),
        ]);
        let host = HeaderValue::from_static("www.example.com:8088");
        forward(&mut headers, &client("192.0.2.7:1234", &[]), Some(&host), Version::HTTP_11);
        assert_eq!(values(&headers, "x-forwarded-for"), ["192.0.2.7"]);
        assert_eq!(values(&headers, "x-forwarded-proto"), ["http"]);
        assert_eq!(values(&headers, "x-forwarded-host"), ["www.example.com:8088"]);
        assert_eq!(values(&headers, "forwarded"), ["for=192.0.2.7;proto=http;host=\"www.example.com:8088\""]);
        assert_eq!(values(&headers, "via"), ["1.0 before", "1.1 edge"]);
        assert_eq!(values(&headers, "host"), ["www.example.com:8088"]);
        assert!(!headers.contains_key("expect"));
    }

    #[test]
    fn names_that_only_look_like_the_edges_own_are_taken_off() {
        let mut headers = map(&[("x_forwarded_for", "1.1.1.1"), ("x-forwarded_proto", "https"), ("x_mine", "1")]);
        forward(&mut headers, &client("192.0.2.7:1", &[]), None, Version::HTTP_11);
        assert!(!headers.contains_key("x_forwarded_for") && !headers.contains_key("x-forwarded_proto"));
        assert!(headers.contains_key("x_mine"));
    }

    #[test]
    fn passes_are_counted_over_all_fields_and_other_proxies_do_not_count() {
        let headers = map(&[("via", "1.1 edge, 1.0 fred"), ("via", "2 edge,1.1 ledge")]);
        assert_eq!(passed(&headers), 2);
    }

    #[test]
    fn what_a_trusted_proxy_says_is_kept_and_added_to() {
        let mut headers = map(&[
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "10.0.0.9"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "for=1.1.1.1"),
        ]);
        let host = HeaderValue::from_static("a.example");
        forward(&mut headers, &client("10.0.0.1:1", &["10.0.0.0/8"]), Some(&host), Version::HTTP_2);
        assert_eq!(values(&headers, "x-forwarded-for"), ["1.1.1.1, 10.0.0.9, 10.0.0.1"]);
        assert_eq!(values(&headers, "x-forwarded-proto"), ["https"]);
        assert_eq!(values(&headers, "x-forwarded-host"), ["a.example"]);
        assert_eq!(values(&headers, "forwarded"), ["for=1.1.1.1, for=10.0.0.1;proto=http;host=a.example"]);
        assert_eq!(values(&headers, "via"), ["2 edge"]);
    }

    #[test]
    fn http2_cookies_become_one_field_and_others_stay() {
        let host = HeaderValue::from_static("a");
        for (version, expected) in [(Version::HTTP_2, &["a=1; b=2"][..]), (Version::HTTP_11, &["a=1", "b=2"])] {
            let mut headers = map(&[("cookie", "a=1"), ("cookie", "b=2")]);
            forward(&mut headers, &client("192.0.2.7:1", &[]), Some(&host), version);
            assert_eq!(values(&headers, "cookie"), expected, "{version:?}");
        }
    }

    #[test]
    fn a_client_without_a_host_leaves_an_empty_one() {
        let mut headers = HeaderMap::new();
        forward(&mut headers, &client("192.0.2.7:1", &[]), None, Version::HTTP_10);
        assert_eq!(values(&headers, "host"), [""]);
    }

    #[test]
    fn an_ipv6_client_is_quoted_and_a_mapped_ipv4_client_is_shown_as_ipv4() {
        for (address, xff, forwarded) in [
            ("[2001:db8::1]:9", "2001:db8::1", "for=\"[2001:db8::1]\";proto=http;host=a"),
            ("[::ffff:192.0.2.1]:9", "192.0.2.1", "for=192.0.2.1;proto=http;host=a"),
        ] {
            let mut headers = HeaderMap::new();
            forward(&mut headers, &client(address, &[]), Some(&HeaderValue::from_static("a")), Version::HTTP_11);
            assert_eq!(values(&headers, "x-forwarded-for"), [xff]);
            assert_eq!(values(&headers, "forwarded"), [forwarded]);
        }
    }

    #[test]
    fn only_an_http_1_1_upgrade_that_connection_names_is_let_through() {
        let asked = |version, connection: &str, protocol: &str| {
            upgrade(version, &map(&[("connection", connection), ("upgrade", protocol)])).is_some()
        };
        assert!(asked(Version::HTTP_11, "keep-alive, Upgrade", "websocket"));
        assert!(!asked(Version::HTTP_11, "keep-alive", "websocket"));
        assert!(!asked(Version::HTTP_10, "upgrade", "websocket"));
        assert!(!asked(Version::HTTP_11, "upgrade, http2-settings", "h2c"));
        assert!(!asked(Version::HTTP_11, "upgrade", "websocket, H2C"));
    }

    proptest! {
        #[test]
        fn no_client_can_delete_or_forge_its_address(connection in "[ -~]{0,60}", forged in "[ -~]{0,30}") {
            let mut headers = map(&[("connection", &connection), ("x-forwarded-for", &forged)]);
            strip_hop_by_hop(&mut headers);
            let host = HeaderValue::from_static("a.example");
            forward(&mut headers, &client("192.0.2.7:1", &[]), Some(&host), Version::HTTP_11);
            prop_assert_eq!(values(&headers, "x-forwarded-for"), ["192.0.2.7"]);
            prop_assert_eq!(headers.get_all("connection").iter().count(), 0);
        }
    }
}
