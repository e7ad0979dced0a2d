//! `Content-Length` and `Transfer-Encoding`: one length, or none. A request that two readers could end at different
//! places is rejected, or its connection closes after it.
#![no_main]

use edge::protocol::h1::framing::{Framing, Lengths};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|fields: Vec<(bool, &[u8])>| {
    let mut lengths = Lengths::default();
    for (is_length, value) in &fields {
        if !is_length {
            lengths.transfer_encoding(value);
        } else if lengths.content_length(value).is_err() {
            return;
        }
    }
    let (has_length, has_encoding) =
        (fields.iter().any(|(is_length, _)| *is_length), fields.iter().any(|(is_length, _)| !is_length));
    assert_eq!(lengths.is_doubtful(), has_length && has_encoding);
    match lengths.of_request(true) {
        Ok(Framing::Chunked) => {
            let mut encodings = fields.iter().filter(|(is_length, _)| !is_length);
            assert!(encodings.next().is_some_and(|(_, value)| value.eq_ignore_ascii_case(b"chunked")));
            assert!(encodings.next().is_none());
        }
        Ok(Framing::Length(length)) => assert_eq!((lengths.announced(), has_encoding), (Some(length), false)),
        Ok(Framing::None) => assert!(lengths.announced().unwrap_or(0) == 0 && !has_encoding),
        Ok(Framing::Close) => panic!("the end of the connection never ends a request"),
        Err(_) => assert!(has_encoding),
    }
    assert!(!has_encoding || lengths.of_request(false).is_err(), "HTTP/1.0 has no encodings");
    for bodiless in [false, true] {
        for encodings in [false, true] {
            // Either is fine; neither may panic.
            let _ = lengths.of_response(bodiless, encodings);
        }
    }
});
