//! A request's head: what it says to a proxy, and the head that goes upstream.

use http::Version;

use super::{Client, Name, Options, tokens, write_field, write_framing};
use crate::{
    error::Kind,
    protocol::h1::{
        framing::{Framing, Lengths},
        head::{Field, Target},
    },
};

/// What the fields of a request say to a proxy, found in one pass.
#[derive(Debug, Default)]
pub struct HeaderSummary<'a> {
    /// The only `Host`; `None` without one.
    host: Option<&'a [u8]>,
    hosts: usize,
    /// What `Connection` asks for.
    pub connection: Options,
    /// What says where the body ends.
    pub lengths: Lengths,
    /// Whether the client sends its body only when told to.
    pub expects_continue: bool,
    /// The first `Upgrade`.
    upgrade: Option<&'a [u8]>,
    /// What the log wants.
    pub user_agent: Option<&'a [u8]>,
    /// The first `Trailer`.
    pub trailer: Option<&'a [u8]>,
    /// How often the request has passed an edge.
    pub passes: usize,
    cookies: usize,
}

impl<'a> HeaderSummary<'a> {
    /// Looks through the fields.
    ///
    /// # Errors
    /// [`Kind::BadRequest`] when they contradict each other on the length.
    pub fn of(fields: &[Field<'a>]) -> Result<Self, Kind> {
        let mut summary = Self::default();
        for field in fields {
            match Name::of(field.name.as_bytes()) {
                Name::Host => {
                    summary.host = Some(field.value);
                    summary.hosts += 1;
                }
                Name::Connection => summary.connection.take(field.value),
                Name::ContentLength => summary.lengths.content_length(field.value).map_err(|_| Kind::BadRequest)?,
                Name::TransferEncoding => summary.lengths.transfer_encoding(field.value),
                Name::Expect => summary.expects_continue |= field.value.eq_ignore_ascii_case(b"100-continue"),
                Name::Upgrade => summary.upgrade = summary.upgrade.or(Some(field.value)),
                Name::UserAgent => summary.user_agent = summary.user_agent.or(Some(field.value)),
                Name::Trailer => summary.trailer = summary.trailer.or(Some(field.value)),
                Name::Via => summary.passes += tokens(field.value).filter(|hop| hop.ends_with(b" edge")).count(),
                Name::Cookie => summary.cookies += 1,
                _ => {}
            }
        }
        Ok(summary)
    }

    /// The host that the request is for: the only `Host`, or the authority of its target.
    ///
    /// # Errors
    /// [`Kind::BadHost`] when `Host` is missing (RFC 9112 section 3.2), repeated, no host, or not the
    /// authority of an absolute target. A proxy that let two names pass would route by one and the
    /// upstream by the other.
    pub fn host(&self, target: &Target<'a>, version: Version) -> Result<Option<&'a str>, Kind> {
        if self.hosts > 1 {
            return Err(Kind::BadHost);
        }
        let host = match (target.authority.map(str::as_bytes), self.host) {
            (None, None) if version == Version::HTTP_10 => return Ok(None),
            (None, Some(host)) => host,
            (Some(authority), None) => authority,
            (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host) => authority,
            _ => return Err(Kind::BadHost),
        };
        if is_host(host) { str::from_utf8(host).map(Some).map_err(|_| Kind::BadHost) } else { Err(Kind::BadHost) }
    }

    /// The protocol that the request asks to switch to, if the edge lets it: not h2c, by which a client
    /// would get past the edge's routes (RFC 9113 has withdrawn that upgrade).
    #[must_use]
    pub fn upgrade(&self, version: Version) -> Option<&'a [u8]> {
        let protocol = self.upgrade?;
        let h2c = tokens(protocol).any(|name| name.eq_ignore_ascii_case(b"h2c"));
        (version == Version::HTTP_11 && self.connection.upgrade && !h2c).then_some(protocol)
    }
}

/// Whether this is `uri-host [ ":" port ]` as far as a proxy must know: no user, list, space or path.
fn is_host(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes[0] != b':'
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte))
}

/// What goes upstream, but for the fields that are passed on.
#[derive(Debug)]
pub struct Line<'a> {
    /// As received.
    pub method: &'a str,
    /// Path and query, or `*`.
    pub target: &'a str,
    /// As received, for `Via`.
    pub received: Version,
    /// What [`HeaderSummary::host`] found.
    pub host: Option<&'a str>,
    /// What [`HeaderSummary::upgrade`] found, for a request without a body.
    pub upgrade: Option<&'a [u8]>,
    /// How the body ends; never [`Framing::Close`].
    pub framing: Framing,
}

/// Writes the head that goes upstream.
pub fn write(out: &mut Vec<u8>, line: &Line<'_>, fields: &[Field<'_>], summary: &HeaderSummary<'_>, client: &Client) {
    out.extend_from_slice(line.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(line.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let host = line.host.unwrap_or_default().as_bytes();
    // HTTP/1.1 asks for the field, also where an HTTP/1.0 client left it out (RFC 9112 section 3.2).
    write_field(out, "host", host);
    let join_cookies = line.received == Version::HTTP_2 && summary.cookies > 1;
    for field in fields {
        let keep = match Name::of(field.name.as_bytes()) {
            // The body is not asked for before the upstream is connected, which is what `Expect` is for.
            Name::Host | Name::Connection | Name::ContentLength | Name::TransferEncoding | Name::Upgrade => false,
            Name::Expect | Name::HopByHop | Name::LookAlike => false,
            Name::XForwardedFor => false,
            Name::Forwarded => client.trusted && line.host.is_none(),
            Name::XForwardedProto | Name::XForwardedHost => client.trusted,
            Name::Cookie => !join_cookies,
            // Nothing is announced behind a body that has no place for it.
            Name::Trailer => line.framing == Framing::Chunked,
            _ => true,
        };
        if keep && !summary.connection.names(fields, field.name) {
            write_field(out, field.name, field.value);
        }
    }
    if join_cookies {
        write_cookies(out, fields);
    }
    write_forwarded(out, line, fields, summary, client);
    // RFC 9110 section 7.6.3: the protocol it was received with, and who forwards it.
    out.extend_from_slice(match line.received {
        Version::HTTP_10 => b"via: 1.0 edge\r\n",
        Version::HTTP_2 => b"via: 2 edge\r\n",
        _ => b"via: 1.1 edge\r\n",
    });
    write_framing(out, line.framing);
    if let Some(protocol) = line.upgrade {
        out.extend_from_slice(b"connection: upgrade\r\n");
        write_field(out, "upgrade", protocol);
    }
    out.extend_from_slice(b"\r\n");
}

/// Says who asked. What a client says about itself is kept from trusted ones only, and added to.
fn write_forwarded(
    out: &mut Vec<u8>,
    line: &Line<'_>,
    fields: &[Field<'_>],
    summary: &HeaderSummary<'_>,
    client: &Client,
) {
    let said = |name: Name| {
        let said = move |field: &&Field<'_>| {
            Name::of(field.name.as_bytes()) == name && !summary.connection.names(fields, field.name)
        };
        fields.iter().filter(said)
    };
    let chain = |out: &mut Vec<u8>, name: Name| {
        if client.trusted {
            for field in said(name) {
                out.extend_from_slice(field.value);
                out.extend_from_slice(b", ");
            }
        }
    };
    out.extend_from_slice(b"x-forwarded-for: ");
    chain(out, Name::XForwardedFor);
    out.extend_from_slice(client.ip().as_bytes());
    out.extend_from_slice(b"\r\n");
    if !client.trusted || said(Name::XForwardedProto).next().is_none() {
        write_field(out, "x-forwarded-proto", client.proto().as_bytes());
    }
    let Some(host) = line.host else { return };
    if !client.trusted || said(Name::XForwardedHost).next().is_none() {
        write_field(out, "x-forwarded-host", host.as_bytes());
    }
    out.extend_from_slice(b"forwarded: ");
    chain(out, Name::Forwarded);
    client.write_forwarded(out, host.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// HTTP/2 may spread cookies over several fields, HTTP/1.1 has one for all (RFC 9113 section 8.2.3).
fn write_cookies(out: &mut Vec<u8>, fields: &[Field<'_>]) {
    let mut before: &[u8] = b"cookie: ";
    for field in fields.iter().filter(|field| Name::of(field.name.as_bytes()) == Name::Cookie) {
        out.extend_from_slice(before);
        out.extend_from_slice(field.value);
        before = b"; ";
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::tests::fields, *};
    use crate::protocol::h1::head;

    fn host_of(authority: Option<&str>, version: Version, hosts: &[&str]) -> Result<Option<String>, Kind> {
        let fields = fields(&hosts.iter().map(|host| ("host", *host)).collect::<Vec<_>>());
        let target = Target { authority, path_and_query: "/" };
        let found = HeaderSummary::of(&fields).unwrap().host(&target, version)?;
        Ok(found.map(str::to_owned))
    }

    /// The head that goes upstream for these fields, line by line, without the request line.
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
        let line = Line { method: "GET", target: "/", received, host, upgrade: summary.upgrade(received), framing };
        let mut out = Vec::new();
        write(&mut out, &line, &fields, &summary, &client);
        let text = String::from_utf8(out).unwrap();
        let head = text.strip_prefix("GET / HTTP/1.1\r\n").unwrap().strip_suffix("\r\n\r\n").unwrap();
        head.split("\r\n").map(str::to_owned).collect()
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
    fn hop_by_hop_fields_and_those_that_connection_names_are_stripped() {
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
                "x-forwarded-proto: http",
                "x-forwarded-host: a.example",
                "forwarded: for=192.0.2.7;proto=http;host=a.example",
                "via: 1.1 edge",
                "content-length: 3",
            ]
        );
    }

    #[test]
    fn what_a_stranger_says_about_itself_is_replaced() {
        let lines = forwarded(
            &[
                ("x-forwarded-for", "1.1.1.1"),
                ("X-Forwarded-For", "2.2.2.2"),
                ("x_forwarded_for", "3.3.3.3"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil.example"),
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
                "x-forwarded-proto: http",
                "x-forwarded-host: www.example.com:8088",
                "forwarded: for=192.0.2.7;proto=http;host=\"www.example.com:8088\"",
                "via: 1.1 edge",
            ]
        );
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_added_to() {
        let lines = forwarded(
            &[
                ("x-forwarded-for", "192.0.2.1"),
                ("x-forwarded-for", "192.0.2.2"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "www.example.com"),
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
        assert_eq!(values(&lines, "forwarded"), ["for=192.0.2.1, for=10.0.0.1;proto=http;host=inner.example"]);
        let lines = forwarded(
            &[
                ("connection", "x-forwarded-for, x-forwarded-proto"),
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-proto", "x"),
            ],
            "10.0.0.1:1",
            &["10.0.0.0/8"],
            None,
            Version::HTTP_10,
            Framing::None,
        );
        assert_eq!(values(&lines, "x-forwarded-for"), ["10.0.0.1"], "named in Connection, it goes");
        assert_eq!(values(&lines, "x-forwarded-proto"), ["http"]);
        assert_eq!(values(&lines, "host"), [""]);
        assert_eq!(values(&lines, "via"), ["1.0 edge"]);
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
        let lines = forwarded(&pairs, "192.0.2.7:1", &[], Some("a"), Version::HTTP_11, Framing::None);
        assert_eq!((values(&lines, "connection"), values(&lines, "upgrade")), (vec!["upgrade"], vec!["websocket"]));
    }

    #[test]
    fn cookies_that_http_2_spread_are_one_field_upstream() {
        let pairs = [("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2")];
        let lines = forwarded(&pairs, "192.0.2.7:1", &[], Some("a"), Version::HTTP_2, Framing::None);
        assert_eq!(values(&lines, "cookie"), ["a=1; b=2"]);
        assert_eq!(values(&lines, "via"), ["2 edge"]);
        let lines = forwarded(&pairs, "192.0.2.7:1", &[], Some("a"), Version::HTTP_11, Framing::None);
        assert_eq!(values(&lines, "cookie"), ["a=1", "b=2"], "HTTP/1 is passed on as it came");
    }

    #[test]
    fn passes_are_counted_over_all_via_fields() {
        let fields = fields(&[("via", "1.1 edge, 1.0 other"), ("Via", "2 edge,1.1 edge"), ("via", "1.1 edges")]);
        assert_eq!(HeaderSummary::of(&fields).unwrap().passes, 3);
    }

    proptest! {
        #[test]
        fn nothing_that_a_client_sends_forges_what_the_edge_says(
            pairs in proptest::collection::vec(
                (
                    prop_oneof!["(?i)x[-_]forwarded[-_](for|host|proto)", "(?i)forwarded|via|connection|keep-alive|te|upgrade", "[a-zA-Z-]{1,12}"],
                    prop_oneof!["[ -~]{0,30}", "(?i)x-forwarded-for, via, host"],
                ),
                0..10,
            ),
        ) {
            let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            prop_assume!(HeaderSummary::of(&fields(&pairs)).is_ok());
            let lines = forwarded(&pairs, "192.0.2.7:1", &[], Some("a.example"), Version::HTTP_11, Framing::None);
            let named = |name: &str| -> Vec<String> {
                let is = |line: &&String| line.split(':').next().unwrap().replace('_', "-").eq_ignore_ascii_case(name);
                lines.iter().filter(is).cloned().collect()
            };
            prop_assert_eq!(named("x-forwarded-for"), ["x-forwarded-for: 192.0.2.7"]);
            prop_assert_eq!(named("x-forwarded-proto"), ["x-forwarded-proto: http"]);
            prop_assert_eq!(named("x-forwarded-host"), ["x-forwarded-host: a.example"]);
            prop_assert_eq!(named("forwarded"), ["forwarded: for=192.0.2.7;proto=http;host=a.example"]);
            prop_assert_eq!(named("keep-alive").len() + named("te").len(), 0);
            prop_assert_eq!(named("via").pop().unwrap(), "via: 1.1 edge");
        }

        /// Whatever comes in, mended or not, goes out as one request that ends where its head says, by the
        /// strictest reading: no line that a client sent ends a head or begins another.
        #[test]
        fn what_goes_upstream_is_exactly_one_head(
            lines in proptest::collection::vec(
                prop_oneof![
                    "(?i)(host|content-length|transfer-encoding|connection|upgrade|expect|via|x-a): ?[ -~]{0,12}",
                    "(?i)(host: a|content-length: [0-9]{1,3}|transfer-encoding: chunked|connection: (close|x-a|te))",
                    "[ -~]{0,20}",
                    "x: .{0,9}",
                ],
                0..8,
            ),
            start in prop_oneof!["(GET|POST|OPTIONS) (/[!-~]{0,9}|http://a/b|\\*) HTTP/1\\.[01]", "[ -~]{0,30}"],
            ends in proptest::collection::vec(prop_oneof!["\r\n", "\n", "\r"], 10),
        ) {
            let mut bytes = Vec::new();
            for (line, end) in std::iter::once(&start).chain(&lines).zip(&ends) {
                bytes.extend_from_slice(line.as_bytes());
                bytes.extend_from_slice(end.as_bytes());
            }
            bytes.extend_from_slice(b"\r\n");
            let client = Client::new("192.0.2.7:1".parse().unwrap(), false, &[]);
            let written = head::request(&bytes, 100, |request| {
                let summary = HeaderSummary::of(request.fields).ok()?;
                let framing = summary.lengths.of_request(request.version == Version::HTTP_11).ok()?;
                let host = summary.host(&request.target, request.version).ok()?;
                let (method, target, received) = (request.method, request.target.path_and_query, request.version);
                let line = Line { method, target, received, host, upgrade: summary.upgrade(received), framing };
                let mut out = Vec::new();
                write(&mut out, &line, request.fields, &summary, &client);
                Some((out, framing))
            });
            let Ok(Some((Some((out, framing)), _))) = written else { return Ok(()) };
            let text = String::from_utf8_lossy(&out);
            prop_assert_eq!(text.matches("\r\n\r\n").count(), 1, "{}", text);
            prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']), "{}", text);
            let again = head::request(&out, 100, |request| {
                let summary = HeaderSummary::of(request.fields).unwrap();
                prop_assert_eq!(summary.hosts, 1);
                prop_assert_eq!(summary.lengths.of_request(true), Ok(framing));
                prop_assert!(!summary.lengths.is_doubtful());
                Ok(())
            });
            let (checked, length) = again.unwrap().unwrap();
            checked?;
            prop_assert_eq!(length, out.len());
        }
    }
}
