//! Pure: where a request ends, and its number.

use crate::ledger::NUMBER;

/// A request that was received completely.
pub(super) struct Received {
    /// Its number; `None` for a health check.
    pub(super) number: Option<usize>,
    /// The bytes of its head and body.
    pub(super) length: usize,
}

/// Parses a request if it is complete.
pub(super) fn parse(bytes: &[u8]) -> Option<Received> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(bytes.get(..end)?).to_ascii_lowercase();
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| *field == name).map(|(_, value)| value.trim().to_owned())
    };
    let body = bytes.get(end..)?;
    let length = if field("transfer-encoding").is_some() {
        body.windows(5).position(|window| window == b"0\r\n\r\n")? + 5
    } else {
        field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)
    };
    (body.len() >= length)
        .then(|| Received { number: field(NUMBER).and_then(|number| number.parse().ok()), length: end + length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_received_when_its_body_is_complete() {
        let head = "POST / HTTP/1.1\r\nX-Request-Number: 7\r\nContent-Length: 4\r\n\r\n";
        for (bytes, complete) in [
            (head.to_owned(), None),
            (format!("{head}bod"), None),
            (format!("{head}bodyGET"), Some((Some(7), head.len() + 4))),
            ("GET /healthz HTTP/1.1\r\n\r\n".to_owned(), Some((None, 25))),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n".to_owned(), None),
        ] {
            let found = parse(bytes.as_bytes()).map(|request| (request.number, request.length));
            assert_eq!(found, complete, "{bytes}");
        }
    }
}
