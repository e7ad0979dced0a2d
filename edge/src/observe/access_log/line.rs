//! Formats a record as one line of JSON (RFC 8259).
//!
//! A line is printable ASCII, whatever a client sends. All other characters are escaped as `\uXXXX`, so that no client
//! can trick a terminal or a line-based tool, and a JSON parser restores what the client sent. JSON cannot represent
//! bytes that are not UTF-8; they become the text `\xHH`, as in Apache's log.
//!
//! Every line has the same keys, with `null` for a missing value. The target is logged with its query, as nginx,
//! HAProxy, Envoy and Caddy do, so a secret in a query is in the log.
//!
//! With `std::fmt`, formatting would be most of the cost of a request outside the kernel. So this module writes numbers
//! and addresses digit by digit, and reuses the text of the second from one line to the next.

use std::{
    fmt::{self, Write},
    net::SocketAddr,
    time::{Duration, UNIX_EPOCH},
};

use http::Version;

use super::record::Record;

/// Formats records as lines.
#[derive(Debug, Default)]
pub(super) struct LineFormatter {
    /// The second of the previous line, in Unix time, and its text up to the fraction.
    second: Option<(u64, String)>,
}

impl LineFormatter {
    /// Appends the line of `record`, including the line feed.
    pub(super) fn append(&mut self, out: &mut String, record: &Record) {
        let text = &record.text;
        out.push_str(r#"{"time":""#);
        self.time(out, record.start.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO));
        out.push_str(r#"","client":""#);
        address(out, record.client);
        out.push('"');
        field(out, r#","method":"#, Some(text.method()));
        field(out, r#","host":"#, text.host());
        field(out, r#","target":"#, Some(text.target()));
        out.push_str(r#","protocol":""#);
        out.push_str(protocol(record.version));
        out.push_str(if record.tls { r#"","tls":true,"status":"# } else { r#"","tls":false,"status":"# });
        number(out, record.status.into());
        out.push_str(r#","request_bytes":"#);
        number(out, record.request_bytes);
        out.push_str(r#","response_bytes":"#);
        number(out, record.response_bytes);
        out.push_str(r#","duration_ms":"#);
        milliseconds(out, record.duration);
        out.push_str(r#","head_ms":"#);
        milliseconds(out, record.head);
        field(out, r#","pool":"#, record.pool.as_ref().map(|pool| pool.as_bytes()));
        out.push_str(r#","endpoint":"#);
        match record.endpoint {
            Some(endpoint) => {
                out.push('"');
                address(out, endpoint);
                out.push('"');
            }
            None => out.push_str("null"),
        }
        out.push_str(r#","attempts":"#);
        number(out, record.attempts.into());
        field(out, r#","error":"#, record.error.map(str::as_bytes));
        field(out, r#","user_agent":"#, text.user_agent());
        out.push_str("}\n");
    }

    /// Appends a time in RFC 3339 with milliseconds, in UTC.
    fn time(&mut self, out: &mut String, since_1970: Duration) {
        // RFC 3339 ends with the year 9999.
        let second = since_1970.as_secs().min(253_402_300_799);
        if self.second.as_ref().is_none_or(|(last, _)| *last != second) {
            let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(second)).to_string();
            self.second = Some((second, text.trim_end_matches('Z').to_owned()));
        }
        if let Some((_, text)) = &self.second {
            out.push_str(text);
        }
        out.push('.');
        thousandths(out, since_1970.subsec_millis());
        out.push('Z');
    }
}

fn number(out: &mut String, number: u64) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Appends milliseconds with three decimal places.
fn milliseconds(out: &mut String, duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    number(out, micros / 1000);
    out.push('.');
    thousandths(out, u32::try_from(micros % 1000).unwrap_or(0));
}

/// Appends three digits.
fn thousandths(out: &mut String, number: u32) {
    for digit in [number / 100 % 10, number / 10 % 10, number % 10] {
        out.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}

fn address(out: &mut String, address: SocketAddr) {
    match address {
        SocketAddr::V4(address) => {
            for (index, octet) in address.ip().octets().into_iter().enumerate() {
                if index > 0 {
                    out.push('.');
                }
                number(out, octet.into());
            }
            out.push(':');
            number(out, address.port().into());
        }
        // Writing to a `String` cannot fail.
        SocketAddr::V6(address) => write!(out, "{address}").unwrap_or_default(),
    }
}

/// Appends a value as a JSON string, or `null`. `key` is the key with its quotes, the comma before it and the colon
/// after it.
fn field(out: &mut String, key: &str, value: Option<&[u8]>) {
    out.push_str(key);
    let Some(value) = value else { return out.push_str("null") };
    out.push('"');
    match str::from_utf8(value) {
        Ok(text) if text.bytes().all(is_unescaped) => out.push_str(text),
        _ => {
            for chunk in value.utf8_chunks() {
                // Writing to a `String` cannot fail.
                escape(out, chunk.valid()).unwrap_or_default();
                for byte in chunk.invalid() {
                    write!(out, r"\\x{byte:02x}").unwrap_or_default();
                }
            }
        }
    }
    out.push('"');
}

/// Whether a byte is printable ASCII that JSON does not escape.
fn is_unescaped(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

fn escape(out: &mut String, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| !matches!(c, ' '..='~') || matches!(c, '"' | '\\')) {
        out.write_str(&rest[..at])?;
        let mut chars = rest[at..].chars();
        match chars.next() {
            Some(c @ ('"' | '\\')) => write!(out, "\\{c}")?,
            Some(c) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.write_str(rest)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}
