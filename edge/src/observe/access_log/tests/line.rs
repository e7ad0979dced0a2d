use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;

use super::{parse, record, text};
use crate::{
    error::Kind,
    observe::access_log::{Record, RequestText, line::LineFormatter},
};

fn line_of(record: &Record) -> String {
    let mut line = String::new();
    LineFormatter::default().append(&mut line, record);
    line
}

#[test]
fn a_line_has_every_known_value() {
    insta::assert_snapshot!(line_of(&record()), @r#"{"time":"2023-11-14T22:13:20.123Z","client":"192.0.2.1:4711","method":"GET","host":"example.test","target":"/a?b=c","protocol":"HTTP/1.1","tls":true,"status":200,"request_bytes":0,"response_bytes":17,"duration_ms":12.045,"head_ms":11.999,"pool":"web","endpoint":"127.0.0.1:8000","attempts":1,"error":null,"user_agent":"curl/8"}"#);
}

#[test]
fn a_line_without_values_has_the_same_keys() {
    let empty = Record {
        text: RequestText::new(Vec::new(), "GET", "/", None),
        pool: None,
        endpoint: None,
        attempts: 0,
        ..record()
    };
    let full = Record { error: Some(Kind::Connect.label()), ..record() };
    let keys = |record| parse(&line_of(record)).as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&empty), keys(&full));
    assert_eq!(parse(&line_of(&empty))["endpoint"], Value::Null);
    assert_eq!(parse(&line_of(&full))["error"], "connect_failed");
}

#[test]
fn bytes_that_are_not_utf8_are_written_in_hexadecimal() {
    let text = text("/", b"a\xffb\xc3");
    assert_eq!(parse(&line_of(&Record { text, ..record() }))["user_agent"], r"a\xffb\xc3");
}

proptest! {
    #[test]
    fn every_line_is_printable_ascii_and_parses_to_what_was_sent(
        agent in "[^\u{0}-\u{8}\u{a}-\u{1f}\u{7f}]*",
        pool in any::<String>(),
        target in r#"/[a-z0-9"{}|\\^%~&=\[\]é日]*"#,
        (status, sent, micros) in any::<(u16, u64, u32)>(),
    ) {
        let record = Record {
            text: text(&target, agent.as_bytes()),
            pool: Some(pool.as_str().into()),
            status,
            response_bytes: sent,
            duration: Duration::from_micros(micros.into()),
            ..record()
        };
        let line = line_of(&record);
        let text = line.strip_suffix('\n').unwrap();
        prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?}");
        let value = parse(text);
        prop_assert_eq!(value["user_agent"].as_str(), Some(agent.as_str()));
        prop_assert_eq!(value["pool"].as_str(), Some(pool.as_str()));
        prop_assert_eq!(value["target"].as_str(), Some(target.as_str()));
        prop_assert_eq!(value["status"].as_u64(), Some(status.into()));
        prop_assert_eq!(value["response_bytes"].as_u64(), Some(sent));
        prop_assert_eq!(value["duration_ms"].as_f64(), Some(f64::from(micros) / 1000.0));
    }

    #[test]
    fn no_bytes_of_a_header_break_a_line(bytes in any::<Vec<u8>>()) {
        let line = line_of(&Record { text: text("/", &bytes), ..record() });
        prop_assert!(line.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        parse(&line);
    }
}
