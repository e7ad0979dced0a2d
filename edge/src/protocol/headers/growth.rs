//! The work on a head grows no faster than the head, whatever its sender writes into the fields that are lists. A test
//! counts steps, since time depends on the machine.

use http::Version;

use super::{
    Client,
    request::{self, RequestLine},
    response::{self, Persistence, StatusLine},
    write_trailers,
};
use crate::protocol::{
    h1::{
        framing::Framing,
        head::{self, Field, FieldSlots},
    },
    steps,
};

/// Fields that are lists or that the edge reads, and one that it does not know.
const NAMES: [&str; 30] = [
    "Accept",
    "Accept-Encoding",
    "Cache-Control",
    "CDN-Loop",
    "Client-IP",
    "Connection",
    "Content-Length",
    "Cookie",
    "Date",
    "Expect",
    "Forwarded",
    "Keep-Alive",
    "Max-Forwards",
    "Proxy-Connection",
    "Set-Cookie",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "User-Agent",
    "Vary",
    "Via",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Original-URL",
    "X-Real-IP",
    "X_Forwarded_For",
    "X-0",
];

/// Elements that have a meaning in one of the fields, or the shortest there are.
const ELEMENTS: [&str; 12] =
    ["", "a", "0", "close", "upgrade", "chunked", "trailers", "edge", "1.1 edge", "x-0", "x-forwarded-for", "h2c"];

/// The fields of a head.
type Fields = Vec<(String, String)>;

/// Returns heads of about `size` bytes with the field `name`.
fn heads(name: &str, element: &str, size: usize) -> [Fields; 4] {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let elements = |size: usize| vec![element; size / (element.len() + 1)].join(",");
    let distinct = |size: usize| (0..size / 6).map(|number| format!("x-{number}")).collect::<Vec<_>>().join(",");
    let repeated =
        |size: usize| vec![pair(name, element.to_owned()); size / (name.len() + element.len() + ": \r\n".len())];
    // The most names that `Connection` may have, none of which is the name of a field, so that all are compared.
    let named = pair("Connection", distinct(32 * 6));
    [
        vec![pair(name, elements(size))],
        repeated(size),
        [vec![named], repeated(size)].concat(),
        [vec![pair(name, distinct(size / 2))], repeated(size / 2)].concat(),
    ]
}

/// Returns the steps to parse and rewrite a head with these fields, as a request, a response and trailers.
fn steps(fields: &[(String, String)], client: &Client) -> [u64; 3] {
    let lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    [
        steps::of(|| request(&format!("GET / HTTP/1.1\r\n{lines}\r\n"), client)),
        steps::of(|| response(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"))),
        steps::of(|| {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| Field { name: name.as_str(), value: value.as_bytes() }).collect();
            write_trailers(&mut Vec::new(), &fields);
        }),
    ]
}

fn request(text: &str, client: &Client) {
    let mut slots = FieldSlots::new(10_000);
    let (head, _) = head::parse_request(text.as_bytes(), &mut slots).unwrap().unwrap();
    let Ok(summary) = request::HeaderSummary::of(head.fields) else { return };
    let framing = summary.lengths.of_request(true).unwrap_or(Framing::None);
    // Both, because cookies differ.
    for received in [Version::HTTP_11, Version::HTTP_2] {
        let line = RequestLine::new("GET", "/", received, Some("a"), &summary, framing, true);
        request::write(&mut Vec::new(), &line, head.fields, &summary, client);
    }
}

fn response(text: &str) {
    let bytes = bytes::Bytes::copy_from_slice(text.as_bytes());
    let parsed = head::response(&bytes, 10_000, |head| {
        response::write_interim(&mut Vec::new(), head);
        let Ok(summary) = response::HeaderSummary::of(head.fields) else { return };
        for persistence in [Persistence::Stays, Persistence::Upgrade] {
            let line = StatusLine { status: 200, reason: "", framing: Framing::Chunked, persistence, date: "" };
            response::write(&mut Vec::new(), &line, head.fields, &summary);
        }
        let _fields = response::map(&bytes, head.fields, &summary, Framing::Chunked);
    });
    assert!(parsed.unwrap().is_some());
}

#[test]
fn twice_the_head_costs_at_most_twice_the_work() {
    /// What may be done once for a whole head: `Connection` may have 256 elements, which are compared with 32 names.
    const ONCE: u64 = 3 * 256 * 33;
    // Of a trusted client, more fields are kept.
    let client = Client::new("10.0.0.1:1".parse().unwrap(), false, &["10.0.0.0/8".parse().unwrap()]);
    let size = 4 * 1024;
    for name in NAMES {
        for element in ELEMENTS {
            let pairs = heads(name, element, size).into_iter().zip(heads(name, element, 2 * size));
            for (shape, (single, double)) in pairs.enumerate() {
                for (single, double) in steps(&single, &client).into_iter().zip(steps(&double, &client)) {
                    let what = format!("{name}: {element}, shape {shape}: {single} and {double} steps");
                    // One more field may fit into twice the size.
                    assert!(double <= 2 * single + 256, "{what}");
                    // It grew no faster below that size either.
                    assert!(single <= 24 * size as u64 + ONCE, "{what}");
                }
            }
        }
    }
}
