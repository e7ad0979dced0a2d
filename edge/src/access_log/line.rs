//! One record as one line of JSON (RFC 8259).
//!
//! A line is printable ASCII, whatever a client sends: everything else is written as `\uXXXX`, so that
//! neither a terminal nor a line-based tool can be tricked, and a JSON parser gets back what was sent.
//! Bytes that are not UTF-8 have no place in JSON and become the text `\xHH`, as in Apache's log.
//!
//! Every line has the same keys, `null` where there is nothing. The target is logged with its query, as
//! nginx, HAProxy, Envoy and Caddy do; who puts secrets into queries has them in the log.

use std::fmt::{self, Write};

use http::Version;

use super::Record;

/// Appends the line of `record`, line feed included.
pub(super) fn append(out: &mut String, record: &Record) {
    // Writing to a `String` cannot fail.
    write(out, record).ok();
}

fn write(out: &mut String, record: &Record) -> fmt::Result {
    let text = &record.text;
    write!(out, r#"{{"time":"{}""#, humantime::format_rfc3339_millis(record.start.max(std::time::UNIX_EPOCH)))?;
    write!(out, r#","client":"{}""#, record.client)?;
    field(out, "method", Some(text.method()))?;
    field(out, "host", text.host())?;
    field(out, "target", Some(text.target()))?;
    write!(out, r#","protocol":"{}","tls":{}"#, protocol(record.version), record.tls)?;
    write!(out, r#","status":{}"#, record.status)?;
    write!(out, r#","request_bytes":{},"response_bytes":{}"#, record.request_bytes, record.response_bytes)?;
    // Milliseconds with their thousandths: exact, and what people read.
    let (duration, head) = (record.duration.as_micros(), record.head.as_micros());
    write!(out, r#","duration_ms":{}.{:03}"#, duration / 1000, duration % 1000)?;
    write!(out, r#","head_ms":{}.{:03}"#, head / 1000, head % 1000)?;
    field(out, "pool", record.pool.as_ref().map(|pool| pool.as_bytes()))?;
    match record.endpoint {
        Some(endpoint) => write!(out, r#","endpoint":"{endpoint}""#)?,
        None => out.write_str(r#","endpoint":null"#)?,
    }
    write!(out, r#","attempts":{}"#, record.attempts)?;
    field(out, "error", record.error.map(|error| error.label().as_bytes()))?;
    field(out, "user_agent", text.user_agent())?;
    out.write_str("}\n")
}

fn field(out: &mut String, name: &str, value: Option<&[u8]>) -> fmt::Result {
    write!(out, r#","{name}":"#)?;
    let Some(value) = value else { return out.write_str("null") };
    out.write_char('"')?;
    for chunk in value.utf8_chunks() {
        escape(out, chunk.valid())?;
        for byte in chunk.invalid() {
            write!(out, r"\\x{byte:02x}")?;
        }
    }
    out.write_char('"')
}

fn escape(out: &mut String, text: &str) -> fmt::Result {
    let mut rest = text;
    // Runs that need no escape, nearly always all of it, are copied at once.
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
