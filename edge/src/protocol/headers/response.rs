//! The head of a response: what it means to a proxy, and the head for the client.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

use super::{ConnectionOptions, Name, edits::FieldEdits, write_field, write_framing, write_number};
use crate::{
    error::Kind,
    protocol::h1::{
        framing::{Framing, Lengths},
        head::Field,
    },
};

/// What the fields of a response mean to a proxy, found in one pass.
#[derive(Debug)]
pub struct HeaderSummary<'a> {
    /// The options of `Connection`.
    pub connection: ConnectionOptions<'a>,
    /// The fields that declare the end of the body.
    pub lengths: Lengths,
    dated: bool,
    /// The value of the `Set-Cookie` that the edge adds.
    set_cookie: Option<&'a [u8]>,
    /// Changes of the fields that are passed on.
    edits: Option<&'a FieldEdits>,
}

impl<'a> HeaderSummary<'a> {
    /// Summarizes the fields.
    ///
    /// # Errors
    /// [`Kind::UpstreamInvalid`] if they contradict each other about the length, [`Kind::UpstreamHeadTooLarge`] if
    /// `Connection` names too many fields.
    pub fn of(fields: &[Field<'a>]) -> Result<Self, Kind> {
        let (connection, lengths) = (ConnectionOptions::default(), Lengths::default());
        let mut summary = Self { connection, lengths, dated: false, set_cookie: None, edits: None };
        for field in fields {
            match Name::of(field.name.as_bytes()) {
                Name::Connection => summary.connection.add(field.value).map_err(|_| Kind::UpstreamHeadTooLarge)?,
                Name::ContentLength => {
                    summary.lengths.content_length(field.value).map_err(|_| Kind::UpstreamInvalid)?;
                }
                Name::TransferEncoding => summary.lengths.transfer_encoding(field.value),
                Name::Date => summary.dated = true,
                _ => {}
            }
        }
        Ok(summary)
    }

    /// The same with a `Set-Cookie` of the edge, beside those of the endpoint, and with these changes.
    #[must_use]
    pub fn with<'b>(&self, cookie: Option<&'b [u8]>, edits: Option<&'b FieldEdits>) -> HeaderSummary<'b>
    where
        'a: 'b,
    {
        HeaderSummary { connection: self.connection.clone(), set_cookie: cookie, edits, ..*self }
    }

    /// Whether a field is about neither the connection nor the framing, so that it is passed on unless the response
    /// switches the protocol.
    fn is_end_to_end(&self, field: &Field<'_>) -> bool {
        match Name::of(field.name.as_bytes()) {
            Name::Connection | Name::ContentLength | Name::TransferEncoding | Name::HopByHop | Name::Upgrade => false,
            _ => !self.connection.names(field.name.as_bytes()) && !self.removes(field),
        }
    }

    fn removes(&self, field: &Field<'_>) -> bool {
        self.edits.is_some_and(|edits| edits.removes(field.name))
    }

    /// The fields that the edge adds.
    fn added(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.edits.into_iter().flat_map(|edits| &edits.add)
    }

    /// Whether the connection of the response may carry another request.
    #[must_use]
    pub fn keeps_alive(&self, version: Version) -> bool {
        let persistent = version == Version::HTTP_11 || self.connection.keep_alive;
        persistent && !self.connection.close && !self.lengths.is_doubtful()
    }
}

/// The parts of a head for the client, except the fields that are passed on.
#[derive(Debug)]
pub struct StatusLine<'a> {
    /// The status, from 100 to 999.
    pub status: u16,
    /// The reason as received.
    pub reason: &'a str,
    /// The framing that the head declares. A length may be 0 here, and a response to HEAD declares the length of the
    /// body that it omits. `None` for a status that never has a body.
    pub framing: Framing,
    /// What `Connection` declares.
    pub persistence: Persistence,
    /// The current time in the format of `Date`, for a response without one (RFC 9110 section 6.6.1).
    pub date: &'a str,
}

/// What a response declares about the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// Nothing: it stays open, the default of HTTP/1.1.
    Stays,
    /// It stays open, declared to an HTTP/1.0 client.
    KeepAlive,
    /// It is closed after the response.
    Close,
    /// It switches its protocol after the response.
    Upgrade,
}

/// Writes the head for an HTTP/1 client. Its version is HTTP/1.1 whatever the client's version, because it states what
/// the sender supports (RFC 9110 section 2.5).
pub fn write(out: &mut Vec<u8>, line: &StatusLine<'_>, fields: &[Field<'_>], summary: &HeaderSummary<'_>) {
    write_status(out, line.status, line.reason);
    for field in fields {
        let keep = match Name::of(field.name.as_bytes()) {
            Name::Connection | Name::ContentLength | Name::TransferEncoding | Name::HopByHop => false,
            Name::Upgrade => line.persistence == Persistence::Upgrade,
            Name::Trailer => line.framing == Framing::Chunked,
            _ => true,
        };
        let named = line.persistence != Persistence::Upgrade && summary.connection.names(field.name.as_bytes());
        if keep && !named && !summary.removes(field) {
            write_field(out, field.name, field.value);
        }
    }
    summary.added().for_each(|(name, value)| write_field(out, name.as_str(), value.as_bytes()));
    if let Some(cookie) = summary.set_cookie {
        write_field(out, "set-cookie", cookie);
    }
    if !summary.dated {
        write_field(out, "date", line.date.as_bytes());
    }
    write_end(out, line.framing, line.persistence);
}

/// Writes the head of an interim response, without a body, as it is passed on to an HTTP/1.1 client.
pub fn write_interim(out: &mut Vec<u8>, head: &crate::protocol::h1::head::Response<'_>) {
    let Ok(summary) = HeaderSummary::of(head.fields) else { return };
    write_status(out, head.status, head.reason);
    for field in head.fields {
        if is_for_interim(field, &summary) {
            write_field(out, field.name, field.value);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Returns the fields of an interim response for an HTTP/2 client.
#[must_use]
pub fn map_interim(head: &crate::protocol::h1::head::Response<'_>) -> HeaderMap {
    let Ok(summary) = HeaderSummary::of(head.fields) else { return HeaderMap::new() };
    head.fields.iter().filter(|field| is_for_interim(field, &summary)).filter_map(owned).collect()
}

/// Returns a field for an HTTP/2 client. `None` if a map rejects what the parser accepts; it is not valid HTTP.
#[must_use]
pub fn owned(field: &Field<'_>) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
    Some((name, HeaderValue::from_bytes(field.value).ok()?))
}

/// Whether an interim response keeps a field. No body follows it, and so no trailers.
fn is_for_interim(field: &Field<'_>, summary: &HeaderSummary<'_>) -> bool {
    summary.is_end_to_end(field) && Name::of(field.name.as_bytes()) != Name::Trailer
}

/// Writes the status line.
pub fn write_status(out: &mut Vec<u8>, status: u16, reason: &str) {
    out.extend_from_slice(b"HTTP/1.1 ");
    write_number(out, status.into());
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes the fields about the end of the message and of the connection, and the empty line.
pub fn write_end(out: &mut Vec<u8>, framing: Framing, persistence: Persistence) {
    write_framing(out, framing);
    out.extend_from_slice(match persistence {
        Persistence::Stays => b"\r\n",
        Persistence::KeepAlive => b"connection: keep-alive\r\n\r\n",
        Persistence::Close => b"connection: close\r\n\r\n",
        Persistence::Upgrade => b"connection: upgrade\r\n\r\n",
    });
}

/// Returns the fields for an HTTP/2 client, which were parsed from `head`.
#[must_use]
pub fn map(head: &[u8], fields: &[Field<'_>], summary: &HeaderSummary<'_>, framing: Framing) -> HeaderMap {
    // One copy that all values share.
    let copy = Bytes::copy_from_slice(head);
    let mut map = HeaderMap::with_capacity(fields.len() + 1);
    for field in fields {
        // The parser accepts some fields that a map rejects; they are not valid HTTP.
        if summary.is_end_to_end(field)
            && let Ok(name) = HeaderName::from_bytes(field.name.as_bytes())
            && let Ok(value) = HeaderValue::from_maybe_shared(shared(&copy, head, field.value))
        {
            map.append(name, value);
        }
    }
    map.extend(summary.added().cloned());
    if let Some(cookie) = summary.set_cookie.and_then(|cookie| HeaderValue::from_bytes(cookie).ok()) {
        map.append(header::SET_COOKIE, cookie);
    }
    if let Framing::Length(length) = framing {
        map.insert(header::CONTENT_LENGTH, length.into());
    }
    map
}

/// Returns the part of `copy`, which is a copy of `bytes`, that corresponds to `part` of `bytes`.
fn shared(copy: &Bytes, bytes: &[u8], part: &[u8]) -> Bytes {
    let start = part.as_ptr().addr().checked_sub(bytes.as_ptr().addr());
    let range = start.and_then(|start| Some(start..start.checked_add(part.len())?));
    match range.filter(|range| range.end <= copy.len()) {
        Some(range) => copy.slice(range),
        None => Bytes::copy_from_slice(part),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::fields, *};

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn written(pairs: &[(&str, &str)], framing: Framing, persistence: Persistence) -> Vec<String> {
        let fields = fields(pairs);
        let summary = HeaderSummary::of(&fields).unwrap();
        let line = StatusLine { status: 200, reason: "Fine", framing, persistence, date: DATE };
        let mut out = Vec::new();
        write(&mut out, &line, &fields, &summary);
        let text = String::from_utf8(out).unwrap();
        let head = text.strip_prefix("HTTP/1.1 200 Fine\r\n").unwrap().strip_suffix("\r\n\r\n").unwrap();
        head.split("\r\n").map(str::to_owned).collect()
    }

    const PAIRS: [(&str, &str); 10] = [
        ("Server", "theirs"),
        ("Connection", "X-Theirs, close"),
        ("X-Theirs", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authenticate", "Basic"),
        ("Upgrade", "h2c"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Transfer-Encoding", "chunked"),
        ("Trailer", "x-sum"),
    ];

    #[test]
    fn hop_by_hop_fields_are_removed_and_the_rest_keeps_its_order() {
        assert_eq!(
            written(&PAIRS, Framing::Chunked, Persistence::Stays),
            [
                "Server: theirs",
                "Set-Cookie: a=1",
                "Set-Cookie: b=2",
                "Trailer: x-sum",
                "date: Sun, 06 Nov 1994 08:49:37 GMT",
                "transfer-encoding: chunked",
            ]
        );
    }

    #[test]
    fn an_http_2_client_gets_the_same_fields() {
        let bytes =
            Bytes::from_static(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nConnection: x-b\r\nX-B: 2\r\nContent-Length: 5\r\n\r\n");
        let map = crate::protocol::h1::head::response(&bytes, 100, |head| {
            let summary = HeaderSummary::of(head.fields).unwrap();
            map(&bytes, head.fields, &summary, Framing::Length(5))
        });
        let map = map.unwrap().unwrap().0;
        let fields: Vec<_> = map.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(fields, [("x-a", "1"), ("content-length", "5")]);
    }

    #[test]
    fn the_edges_cookie_is_beside_those_of_the_endpoint() {
        let fields = fields(&[("set-cookie", "a=1"), ("date", "x")]);
        let summary = HeaderSummary::of(&fields).unwrap();
        let summary = summary.with(Some(b"edge_web=0; Path=/"), None);
        let (framing, persistence) = (Framing::None, Persistence::Stays);
        let mut out = Vec::new();
        let line = StatusLine { status: 204, reason: "", framing, persistence, date: DATE };
        write(&mut out, &line, &fields, &summary);
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("set-cookie: a=1\r\ndate: x\r\nset-cookie: edge_web=0; Path=/\r\n"), "{text}");
        let head = Bytes::from_static(b"HTTP/1.1 200 OK\r\nset-cookie: a=1\r\n\r\n");
        let map = crate::protocol::h1::head::response(&head, 9, |parts| map(&head, parts.fields, &summary, framing));
        let map = map.unwrap().unwrap().0;
        assert_eq!(map.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "edge_web=0; Path=/"]);
    }

    #[test]
    fn fields_about_body_and_connection_are_the_edges_own() {
        let pairs = [("date", "today"), ("content-length", "7"), ("connection", "close")];
        for (framing, persistence, expected) in [
            (Framing::Length(0), Persistence::Stays, &["date: today", "content-length: 0"][..]),
            (
                Framing::Length(9),
                Persistence::KeepAlive,
                &["date: today", "content-length: 9", "connection: keep-alive"],
            ),
            (Framing::None, Persistence::Stays, &["date: today"]),
            (Framing::Close, Persistence::Close, &["date: today", "connection: close"]),
        ] {
            assert_eq!(written(&pairs, framing, persistence), expected);
        }
        let pairs = [("date", "x"), ("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", "y")];
        assert_eq!(
            written(&pairs, Framing::None, Persistence::Upgrade),
            ["date: x", "upgrade: websocket", "sec-websocket-accept: y", "connection: upgrade"]
        );
    }

    #[test]
    fn a_connection_is_kept_if_both_sides_agree_and_the_end_is_unambiguous() {
        for (pairs, version, expected) in [
            (&[][..], Version::HTTP_11, true),
            (&[], Version::HTTP_10, false),
            (&[("connection", "keep-alive")], Version::HTTP_10, true),
            (&[("connection", "Close")], Version::HTTP_11, false),
            (&[("connection", "keep-alive, close")], Version::HTTP_11, false),
            (&[("content-length", "5"), ("transfer-encoding", "chunked")], Version::HTTP_11, false),
        ] {
            assert_eq!(HeaderSummary::of(&fields(pairs)).unwrap().keeps_alive(version), expected, "{pairs:?}");
        }
    }
}
