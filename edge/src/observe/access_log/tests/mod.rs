//! The fixtures of the access log's tests.

mod line;
mod log;
mod writer;

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, UNIX_EPOCH},
};

use http::Version;
use serde_json::Value;

use super::{Record, RequestText};

fn record() -> Record {
    Record {
        start: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        client: SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 4711)),
        tls: true,
        version: Version::HTTP_11,
        text: text("/a?b=c", b"curl/8"),
        status: 200,
        request_bytes: 0,
        response_bytes: 17,
        duration: Duration::from_micros(12_045),
        head: Duration::from_micros(11_999),
        pool: Some("web".into()),
        endpoint: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8000))),
        attempts: 1,
        error: None,
    }
}

fn text(target: &str, user_agent: &[u8]) -> RequestText {
    let mut text = RequestText::new(Vec::new(), "GET", target, Some(user_agent));
    text.set_host("example.test");
    text
}

fn numbered(number: u16) -> Record {
    Record { status: number, ..record() }
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}
