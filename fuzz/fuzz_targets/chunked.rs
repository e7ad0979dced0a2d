//! A chunked body: the same bytes mean the same, however they are split; the trailers parse or are rejected.
#![no_main]

use edge::protocol::h1::{
    chunked::{BodyEvent, Decoder, InvalidChunk},
    head,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = input;
    let whole = decode(bytes, bytes.len());
    let split = decode(bytes, usize::from(step).max(1));
    assert_eq!(whole, split);
    if let Ok(Body { trailers, .. }) = whole {
        // Either is fine; neither may panic.
        let _ = head::trailers(&trailers, |fields| fields.len());
    }
});

#[derive(Debug, PartialEq, Eq)]
struct Body {
    data: Vec<u8>,
    trailers: Vec<u8>,
    /// Bytes used, if the body is complete.
    end: Option<usize>,
}

/// Decodes `bytes`, of which up to `step` more arrive at a time.
fn decode(bytes: &[u8], step: usize) -> Result<Body, InvalidChunk> {
    let mut decoder = Decoder::default();
    let (mut at, mut arrived, mut data) = (0, 0, Vec::new());
    loop {
        let (framing, event) = decoder.next(&bytes[at..arrived])?;
        at += framing;
        match event {
            BodyEvent::Data(count) => {
                assert!(count > 0 && at + count <= arrived);
                data.extend_from_slice(&bytes[at..at + count]);
                decoder.consume(count);
                at += count;
            }
            BodyEvent::More if arrived == bytes.len() => {
                assert_eq!(at, bytes.len());
                return Ok(Body { data, trailers: decoder.trailers().to_vec(), end: None });
            }
            BodyEvent::More => arrived = bytes.len().min(arrived.saturating_add(step)),
            BodyEvent::End => {
                assert!(decoder.is_done());
                return Ok(Body { data, trailers: decoder.trailers().to_vec(), end: Some(at) });
            }
        }
    }
}
