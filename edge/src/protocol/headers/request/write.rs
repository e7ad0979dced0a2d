//! Writes the head of a request for an endpoint.

use http::Version;

use super::summary::HeaderSummary;
use crate::protocol::{
    h1::{framing::Framing, head::Field},
    headers::{Client, Name, edits::FieldEdits, write_field, write_framing},
};

/// The parts of a head for an endpoint, except the fields that are passed on.
#[derive(Debug)]
pub struct RequestLine<'a> {
    /// The method as received.
    pub method: &'a str,
    /// Path and query, or `*`.
    pub target: &'a str,
    /// The version as received, for `Via`.
    pub received: Version,
    /// The result of [`HeaderSummary::host`].
    pub host: Option<&'a str>,
    /// The result of [`HeaderSummary::upgrade`].
    pub upgrade: Option<&'a [u8]>,
    /// How the body ends; never [`Framing::Close`].
    pub framing: Framing,
    /// Whether to send `Via`, or else only `CDN-Loop`.
    pub via: bool,
    /// Changes of the fields that are passed on. Default none.
    pub edits: Option<&'a FieldEdits>,
}

impl<'a> RequestLine<'a> {
    /// Creates the parts of a head.
    #[must_use]
    pub fn new(
        method: &'a str,
        target: &'a str,
        received: Version,
        host: Option<&'a str>,
        summary: &HeaderSummary<'a>,
        framing: Framing,
        via: bool,
    ) -> Self {
        Self { method, target, received, host, upgrade: summary.upgrade(received), framing, via, edits: None }
    }
}

/// Writes the head for an endpoint.
pub fn write(
    out: &mut Vec<u8>,
    line: &RequestLine<'_>,
    fields: &[Field<'_>],
    summary: &HeaderSummary<'_>,
    client: &Client,
) {
    out.extend_from_slice(line.method.as_bytes());
    out.push(b' ');
    out.extend_from_slice(line.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let host = line.host.unwrap_or_default().as_bytes();
    // HTTP/1.1 requires the field, even if an HTTP/1.0 client omitted it (RFC 9112 section 3.2).
    write_field(out, "host", host);
    let join_cookies = line.received == Version::HTTP_2 && summary.cookies > 1;
    for field in fields {
        let keep = match Name::of(field.name.as_bytes()) {
            // The edge requests the body only once the upstream is connected, which fulfils `Expect`.
            Name::Host | Name::Connection | Name::ContentLength | Name::TransferEncoding | Name::Upgrade => false,
            Name::Expect | Name::HopByHop | Name::LookAlike => false,
            Name::XForwardedFor => false,
            Name::Forwarded => client.trusted && line.host.is_none(),
            Name::XForwardedProto | Name::XForwardedHost | Name::XForwardedPort => client.trusted,
            Name::XRealIp | Name::Origin => client.trusted,
            Name::Cookie => !join_cookies,
            // Only a chunked body can have trailers.
            Name::Trailer => line.framing == Framing::Chunked,
            _ => true,
        };
        let is_removed = || line.edits.is_some_and(|edits| edits.removes(field.name));
        if keep && !summary.connection.names(field.name.as_bytes()) && !is_removed() {
            write_field(out, field.name, field.value);
        }
    }
    let added = line.edits.into_iter().flat_map(|edits| &edits.add);
    added.for_each(|(name, value)| write_field(out, name.as_str(), value.as_bytes()));
    if join_cookies && !line.edits.is_some_and(|edits| edits.removes("cookie")) {
        write_cookies(out, fields);
    }
    write_forwarded(out, line, fields, client);
    write_hop(out, line);
    if declares_empty_body(line, summary) {
        out.extend_from_slice(b"content-length: 0\r\n");
    }
    write_framing(out, line.framing);
    if let Some(protocol) = line.upgrade {
        out.extend_from_slice(b"connection: upgrade\r\n");
        write_field(out, "upgrade", protocol);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes that the request passed an edge. Without `Via` (RFC 9110 section 7.6.3), `CDN-Loop` (RFC 8586) still lets edges
/// detect a loop.
fn write_hop(out: &mut Vec<u8>, line: &RequestLine<'_>) {
    // The version as received, and the name of the forwarder.
    out.extend_from_slice(match line.received {
        _ if !line.via => b"cdn-loop: edge\r\n",
        Version::HTTP_10 => b"via: 1.0 edge\r\n",
        Version::HTTP_2 => b"via: 2 edge\r\n",
        _ => b"via: 1.1 edge\r\n",
    });
}

/// Writes where the request came from. Keeps and extends the fields of trusted clients; replaces those of others.
fn write_forwarded(out: &mut Vec<u8>, line: &RequestLine<'_>, fields: &[Field<'_>], client: &Client) {
    let sent = |name: Name| fields.iter().filter(move |field| Name::of(field.name.as_bytes()) == name);
    let chain = |out: &mut Vec<u8>, name: Name| {
        if client.trusted {
            for field in sent(name) {
                out.extend_from_slice(field.value);
                out.extend_from_slice(b", ");
            }
        }
    };
    out.extend_from_slice(b"x-forwarded-for: ");
    chain(out, Name::XForwardedFor);
    out.extend_from_slice(client.ip().as_bytes());
    out.extend_from_slice(b"\r\n");
    let is_kept = |name: Name| client.trusted && sent(name).next().is_some();
    // Nothing is added that could contradict what a trusted proxy has described.
    if !is_kept(Name::XRealIp) && !is_kept(Name::XForwardedFor) {
        write_field(out, "x-real-ip", client.ip().as_bytes());
    }
    if !is_kept(Name::XForwardedProto) {
        write_field(out, "x-forwarded-proto", client.proto().as_bytes());
    }
    if ![Name::XForwardedPort, Name::XForwardedProto, Name::XForwardedHost].into_iter().any(is_kept) {
        write_field(out, "x-forwarded-port", port(line.host, client).as_bytes());
    }
    let Some(host) = line.host else { return };
    if !is_kept(Name::XForwardedHost) {
        write_field(out, "x-forwarded-host", host.as_bytes());
    }
    out.extend_from_slice(b"forwarded: ");
    chain(out, Name::Forwarded);
    client.write_forwarded(out, host.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Returns the port that the client connected to, as its `Host` has it. The port of the listener would be wrong behind
/// a port mapping, such as that of a container.
fn port<'a>(host: Option<&'a str>, client: &Client) -> &'a str {
    let named = host.and_then(|host| host.rsplit_once(':')).map(|(_, port)| port);
    // The rest of an IPv6 address without a port is no number, since it ends with a bracket.
    let is_number = |port: &&str| port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit());
    named.filter(is_number).unwrap_or(if client.tls { "443" } else { "80" })
}

/// Whether the head must declare that the body is empty: as the client did, and for a method that anticipates a body
/// (RFC 9110 section 8.6), for which strict servers answer 411 otherwise. An HTTP/2 client declares it without a field.
fn declares_empty_body(line: &RequestLine<'_>, summary: &HeaderSummary<'_>) -> bool {
    let anticipates = || matches!(line.method, "POST" | "PUT" | "PATCH");
    line.framing == Framing::None
        && (summary.lengths.announced() == Some(0) || (line.received == Version::HTTP_2 && anticipates()))
}

/// Joins the cookies, which HTTP/2 may spread over several fields, into the one of HTTP/1.1 (RFC 9113 section 8.2.3).
fn write_cookies(out: &mut Vec<u8>, fields: &[Field<'_>]) {
    let mut separator: &[u8] = b"cookie: ";
    for field in fields.iter().filter(|field| Name::of(field.name.as_bytes()) == Name::Cookie) {
        out.extend_from_slice(separator);
        out.extend_from_slice(field.value);
        separator = b"; ";
    }
    out.extend_from_slice(b"\r\n");
}
