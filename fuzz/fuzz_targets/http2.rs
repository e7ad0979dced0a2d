//! The bytes of an HTTP/2 client: what the inspector passes on does not depend on how they arrive, and has no fault.
#![no_main]

use std::time::Instant;

use edge::protocol::h2::{inspector::Inspector, limits::list_of_h2, mark::Token};
use libfuzzer_sys::fuzz_target;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The maximum size of a header list.
const MAX_LIST: usize = 32 * 1024;

/// Passes chunks through a new inspector.
fn through<'a>(max_list: usize, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Inspector, Vec<u8>) {
    let now = Instant::now().into();
    let mut inspector = Inspector::new(Token::new([1, 2]), max_list, now);
    let mut read = Vec::new();
    for chunk in [PREFACE].into_iter().chain(chunks) {
        let count = inspector.inspect(chunk, now);
        read.extend_from_slice(&chunk[..count]);
        read.extend_from_slice(inspector.output());
        inspector.consume(inspector.output().len());
    }
    (inspector, read)
}

fuzz_target!(|input: (usize, &[u8])| {
    let (size, bytes) = input;
    let (whole, read) = through(MAX_LIST, [bytes]);
    let (_, same) = through(MAX_LIST, bytes.chunks(size.clamp(1, 64)));
    assert_eq!(read, same);
    if !whole.is_ended() {
        let (_, passed) = through(list_of_h2(MAX_LIST), [&read[PREFACE.len()..]]);
        assert_eq!(passed, read);
    }
});
