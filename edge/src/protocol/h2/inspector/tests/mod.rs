//! What h2 reads behind an inspector.

mod properties;

use std::{ops::ControlFlow, sync::LazyLock, time::Duration};

use super::{
    super::{
        block::MAX_ADDED,
        flood::BURST,
        frame::{FrameHead, HEAD, MAX_PAYLOAD, flag, kind},
        hpack::{
            Decoder,
            encode::{Indexing, indexed, literal, size},
        },
        limits::list_of_h2,
        mark::{Mark, Token},
    },
    *,
};

const MAX_LIST: usize = 32 * 1024;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const END: u8 = flag::END_HEADERS | flag::END_STREAM;

/// The time of all tests, in which no tokens are added.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn token() -> Token {
    Token::new([7, 8])
}

fn inspector() -> Inspector {
    Inspector::new(token(), MAX_LIST, *START)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    FrameHead { length: payload.len(), kind, flags, stream }.write(&mut out);
    out.extend_from_slice(payload);
    out
}

/// A request block with this path and these further fields, all of which enter the dynamic table.
fn request(path: &[u8], fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = b"\x82\x86".to_vec();
    literal(&mut block, Indexing::Incremental, Ok(4), path, true);
    literal(&mut block, Indexing::Incremental, Ok(1), b"a.example", true);
    for (name, value) in fields {
        literal(&mut block, Indexing::Incremental, Err(name), value, false);
    }
    block
}

fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(kind::HEADERS, END, stream, block)
}

/// Passes chunks through an inspector and returns what h2 reads.
fn through<'a>(inspector: &mut Inspector, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut read = Vec::new();
    for chunk in chunks {
        let count = inspector.inspect(chunk, *START);
        read.extend_from_slice(&chunk[..count]);
        read.extend_from_slice(inspector.output());
        inspector.consume(inspector.output().len());
        assert!(inspector.output().is_empty() && inspector.out.capacity() <= KEPT);
    }
    read
}

/// Passes whole bytes through a new inspector, after the preface.
fn inspected(bytes: &[u8]) -> (Inspector, Vec<u8>) {
    let mut inspector = inspector();
    assert_eq!(through(&mut inspector, [PREFACE]), PREFACE);
    let read = through(&mut inspector, [bytes]);
    (inspector, read)
}

/// Splits bytes into frames.
fn frames(mut bytes: &[u8]) -> Vec<(FrameHead, &[u8])> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() {
        let head = FrameHead::parse(head);
        let (payload, rest) = rest.split_at(head.length);
        frames.push((head, payload));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a frame");
    frames
}

/// Names and values.
type Fields = Vec<(String, String)>;

/// The streams of requests with what the edge does with them, and their other fields.
fn requests(bytes: &[u8]) -> Vec<(u32, Option<Mark>, Fields)> {
    let mut decoder = Decoder::default();
    let mut block = Vec::new();
    let mut requests = Vec::new();
    for (head, payload) in frames(bytes) {
        if ![kind::HEADERS, kind::CONTINUATION].contains(&head.kind) {
            continue;
        }
        block.extend_from_slice(payload);
        if !head.has(flag::END_HEADERS) {
            continue;
        }
        let mut map = http::HeaderMap::new();
        let mut pairs = Fields::new();
        let flow = decoder.decode(&block, |name, value| {
            match http::HeaderName::from_lowercase(name) {
                Ok(name) => {
                    map.append(name, http::HeaderValue::from_bytes(value).unwrap());
                }
                Err(_) => pairs.push((String::from_utf8_lossy(name).into(), String::from_utf8_lossy(value).into())),
            }
            ControlFlow::Continue(())
        });
        assert!(flow.is_ok());
        block.clear();
        let mark = token().take(&mut map);
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        pairs.extend(map.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))));
        requests.push((head.stream, mark, pairs));
    }
    requests
}

fn value<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|field| field.0 == name).map(|field| field.1.as_str())
}

#[test]
fn valid_bytes_pass_as_they_came() {
    let block = request(b"/a?b", &[(b"x-a", b"1"), (b"cookie", b"c=d")]);
    let padded = [&b"\x03"[..], b"\0\0\0\x05\x10", &block, &[0; 3]].concat();
    let (first, second) = block.split_at(5);
    let bytes = [
        frame(kind::SETTINGS, 0, 0, b""),
        headers(1, &block),
        frame(kind::HEADERS, END | flag::PADDED | flag::PRIORITY, 3, &padded),
        frame(kind::HEADERS, flag::END_STREAM, 5, first),
        frame(kind::CONTINUATION, 0, 5, b""),
        frame(kind::CONTINUATION, flag::END_HEADERS, 5, second),
        frame(kind::HEADERS, flag::END_HEADERS, 7, &block),
        frame(kind::DATA, 0, 7, &[b'x'; MAX_PAYLOAD]),
        // Trailers.
        headers(7, b"\0\x01x\x011"),
        frame(kind::PING, 0, 0, b"12345678"),
        frame(0xfe, 0, 9, b"unknown"),
    ]
    .concat();
    let (inspector, read) = inspected(&bytes);
    assert_eq!(read, bytes);
    let mut whole = self::inspector();
    let all = [PREFACE, &bytes].concat();
    let count = whole.inspect(&all, *START);
    let held_back = all.len() - count;
    assert!(held_back > 0 && count > 100, "blocks of several frames are held back, others are not even copied");
    assert!(inspector.held.capacity() == 0 && inspector.memory.capacity() <= KEPT, "an idle connection is small");
}

#[test]
fn a_faulty_request_fails_alone() {
    for (path, name, field_value, fault) in [
        (&b"/"[..], &b"x-bad"[..], &b"a\x01b"[..], Fault::Value),
        (b"/", b"x-bad", b"a\x7f", Fault::Value),
        (b"/", b"x-bad", b"a\nb: c", Fault::Value),
        (b"/", b"x bad", b"1", Fault::Name),
        (b"/", b"", b"1", Fault::Name),
        (b"/", b"X-Bad", b"1", Fault::UpperCase),
        (b"/", b"connection", b"close", Fault::ConnectionField),
        (b"/\xe9", b"x-good", b"1", Fault::Path),
        (b"/#a", b"x-good", b"1", Fault::Path),
    ] {
        let good = request(b"/", &[(b"x-before", b"1")]);
        let bad = request(path, &[(name, field_value), (b"x-after", b"2")]);
        // Refers to what the faulty block has put into the table: 62 is its own authority, 63 the last field before it.
        let after = b"\x82\x86\x84\x41\x01b\xbf";
        let bytes = [headers(1, &good), headers(3, &bad), headers(5, after)].concat();
        let (inspector, read) = inspected(&bytes);
        let requests = requests(&read);
        let streams: Vec<_> = requests.iter().map(|(stream, mark, _)| (*stream, mark.clone())).collect();
        assert_eq!(streams, [(1, None), (3, Some(Mark::Refuse(fault))), (5, None)], "{fault}");
        assert_eq!((value(&requests[2].2, ":authority"), value(&requests[2].2, "x-after")), (Some("b"), Some("2")));
        assert!(!inspector.is_ended());
    }
}

#[test]
fn a_faulty_field_may_stay_in_the_dynamic_table() {
    let bad = request(b"/", &[(b"x-bad", b"\x01")]);
    let mut again = b"\x82\x86\x84".to_vec();
    indexed(&mut again, 62);
    let mut name_only = b"\x82\x86\x84".to_vec();
    literal(&mut name_only, Indexing::Without, Ok(62), b"fine", false);
    let (_, read) = inspected(&[headers(1, &bad), headers(3, &again), headers(5, &name_only)].concat());
    let requests = requests(&read);
    assert!(requests[0].1.is_some() && requests[1].1.is_some());
    assert_eq!((&requests[2].1, value(&requests[2].2, "x-bad")), (&None, Some("fine")));
}

#[test]
fn characters_that_h2_refuses_in_a_path_reach_the_edge() {
    let path = "/a\"<>`^|\\{}[]?\"<>`\u{e9}";
    let (_, read) = inspected(&headers(1, &request(path.as_bytes(), &[(b"x-a", b"1")])));
    let requests = requests(&read);
    assert_eq!(requests[0].1, Some(Mark::Path(path.to_owned())));
    assert_eq!((value(&requests[0].2, ":path"), value(&requests[0].2, "x-a")), (Some("/"), Some("1")));
}

#[test]
fn faulty_trailers_are_marked() {
    let begin = frame(kind::HEADERS, flag::END_HEADERS, 1, &request(b"/", &[]));
    let (_, read) = inspected(&[begin, headers(1, b"\0\x01x\x01\x01")].concat());
    let requests = requests(&read);
    assert_eq!((requests[0].1.clone(), requests[1].1.clone()), (None, Some(Mark::Refuse(Fault::Value))));
    assert!(requests[1].2.is_empty(), "trailers have no pseudo-header fields");
}

#[test]
fn a_request_without_anything_becomes_one_that_h2_accepts() {
    for block in [&b""[..], b"\x84", b"\0\x07:method\x07CONNECT\x84", b"\x82\x82\x86\x84", b"\0\x01:\x00"] {
        let (_, read) = inspected(&headers(1, block));
        let requests = requests(&read);
        assert_eq!(requests[0].1, Some(Mark::Refuse(Fault::PseudoField)), "{block:x?}");
        for name in [":method", ":scheme", ":path"] {
            assert_eq!(requests[0].2.iter().filter(|field| field.0 == name).count(), 1, "{name} of {block:x?}");
        }
        assert_ne!(value(&requests[0].2, ":method"), Some("CONNECT"));
    }
}

#[test]
fn a_stream_that_depends_on_itself_fails_alone() {
    let block = request(b"/", &[(b"x-a", b"1")]);
    let priority = [&b"\0\0\0\x01\x10"[..], &block].concat();
    let bytes = [frame(kind::HEADERS, END | flag::PRIORITY, 1, &priority), headers(3, b"\x82\x86\x84\xbe")].concat();
    let (_, read) = inspected(&bytes);
    let requests = requests(&read);
    assert_eq!(requests[0].1, Some(Mark::Refuse(Fault::Dependency)));
    assert_eq!((&requests[1].1, value(&requests[1].2, "x-a")), (&None, Some("1")), "h2 would have skipped its block");
}

#[test]
fn fields_that_are_too_large_fail_their_stream_alone() {
    let mut large = b"\x82\x86\x84".to_vec();
    literal(&mut large, Indexing::Incremental, Err(b"x"), &[b'v'; 4000], false);
    for _ in 0..8 {
        indexed(&mut large, 62);
    }
    let (inspector, read) = inspected(&[headers(1, &large), headers(3, b"\x82\x86\x84\xbe")].concat());
    let requests = requests(&read);
    assert_eq!(requests[0].1, Some(Mark::Refuse(Fault::TooLarge)));
    let size: usize = requests[0].2.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
    assert!(size + MAX_ADDED <= list_of_h2(MAX_LIST), "h2 accepts it with the mark");
    assert_eq!((&requests[1].1, value(&requests[1].2, "x").map(str::len)), (&None, Some(4000)));
    assert!(!inspector.is_ended());
}

#[test]
fn a_length_that_h2_would_answer_with_a_reset_is_marked() {
    for value in [&b"x"[..], b"5"] {
        let (_, read) = inspected(&headers(1, &request(b"/", &[(b"content-length", value)])));
        assert_eq!(requests(&read)[0].1, Some(Mark::Refuse(Fault::Length)), "{value:?} and no body");
    }
    let begin = frame(kind::HEADERS, flag::END_HEADERS, 1, &request(b"/\"", &[(b"content-length", b"5")]));
    assert_eq!(value(&requests(&inspected(&begin).1)[0].2, "content-length"), Some("5"), "it is written anew");
}

#[test]
fn a_block_that_is_written_anew_has_a_bounded_size() {
    let mut large = b"\x82\x86\x84".to_vec();
    literal(&mut large, Indexing::Incremental, Err(b"x"), &[b'v'; 4000], false);
    for _ in 0..20 {
        indexed(&mut large, 62);
    }
    let bad = headers(1, &request(b"/", &[(b"x", b"\x01")]));
    let (mut inspector, read) = inspected(&[bad, headers(3, &large)].concat());
    assert!(read.len() < 2 * MAX_LIST);
    assert_eq!(requests(&read)[1].1, Some(Mark::Refuse(Fault::TooLarge)));
    for _ in 0..20 {
        indexed(&mut large, 62);
    }
    through(&mut inspector, [&headers(5, &large)[..]]);
    assert!(inspector.is_ended(), "four times the allowed size");
}

#[test]
fn a_long_block_is_written_anew_in_several_frames() {
    let long = request(b"/", &[(b"x-long", &[b'v'; 12_000]), (b"x-longer", &[b'w'; 12_000])]);
    let (first, second) = long.split_at(MAX_PAYLOAD);
    let bytes = [
        headers(1, &request(b"/\"", &[])),
        frame(kind::HEADERS, flag::END_STREAM, 3, first),
        frame(kind::CONTINUATION, flag::END_HEADERS, 3, second),
    ]
    .concat();
    let (_, read) = inspected(&bytes);
    assert!(frames(&read).iter().all(|(head, _)| head.length <= MAX_PAYLOAD));
    assert_eq!(value(&requests(&read)[1].2, "x-longer").map(str::len), Some(12_000));
}

#[test]
fn errors_of_the_connection_end_it() {
    let block = request(b"/", &[]);
    for bytes in [
        // Errors of compression.
        headers(1, b"\x80"),
        headers(1, b"\x82\x20"),
        headers(1, b"\x00\x05ab"),
        // Frames in the wrong place.
        frame(kind::CONTINUATION, flag::END_HEADERS, 1, &block),
        frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &block),
        headers(0, &block),
        [frame(kind::HEADERS, 0, 1, &block), frame(kind::DATA, 0, 1, b"x")].concat(),
        [frame(kind::HEADERS, 0, 1, &block), frame(kind::CONTINUATION, flag::END_HEADERS, 3, b"")].concat(),
        // Padding that does not fit.
        frame(kind::HEADERS, END | flag::PADDED, 1, b"\x05\x82"),
    ] {
        let next = headers(9, &block);
        let (mut inspector, read) = inspected(&[bytes, next].concat());
        assert!(inspector.is_ended());
        assert_eq!(read, b"\0\0\x01\x01\x04\0\0\0\x01\x80", "an error for h2, and nothing of the client");
        assert!(through(&mut inspector, [&headers(11, &block)[..]]).is_empty());
    }
}

#[test]
fn a_frame_that_is_too_long_is_left_to_h2() {
    let bytes = [&[0, 0x40, 1, kind::HEADERS, END, 0, 0, 0, 1][..], &[0; 40_000]].concat();
    let (inspector, read) = inspected(&bytes);
    assert!(read == bytes && !inspector.is_ended());
}

#[test]
fn the_memory_of_a_block_that_is_held_back_is_known() {
    let block = request(b"/", &[(b"x-long", &[b'v'; 12_000]), (b"x-longer", &[b'w'; 12_000])]);
    let (first, second) = block.split_at(MAX_PAYLOAD);
    let (mut inspector, _) = inspected(&frame(kind::HEADERS, flag::END_STREAM, 1, first));
    // The frame, and its part of the block.
    assert!(inspector.memory() >= 2 * MAX_PAYLOAD, "{}", inspector.memory());
    through(&mut inspector, [&frame(kind::CONTINUATION, flag::END_HEADERS, 1, second)[..]]);
    assert!(inspector.memory() <= KEPT, "{}", inspector.memory());
}

#[test]
fn a_header_block_without_end_ends_the_connection() {
    let begin = frame(kind::HEADERS, 0, 1, b"\x82");
    let more = frame(kind::CONTINUATION, 0, 1, b"\x82").repeat(6);
    let (inspector, read) = inspected(&[begin, more].concat());
    assert!(inspector.is_ended());
    let frames = frames(&read);
    // h2 sends ENHANCE_YOUR_CALM after more than five for this size.
    assert_eq!((frames[0].0.kind, frames.len()), (kind::HEADERS, 1 + 6));
    assert!(frames.iter().all(|(head, _)| !head.has(flag::END_HEADERS)));
}

#[test]
fn a_flood_ends_the_connection() {
    for (kind, payload) in [(kind::SETTINGS, &b""[..]), (kind::PING, b"12345678"), (0xfe, b""), (kind::DATA, b"")] {
        let one = frame(kind, 0, 0, payload);
        let allowed = one.repeat(usize::try_from(BURST).unwrap());
        let (mut inspector, read) = inspected(&allowed);
        assert!(read == allowed);
        let more = through(&mut inspector, [&one.repeat(1000)[..]]);
        assert!(inspector.is_ended() && frames(&more).iter().all(|(head, _)| head.kind != kind));
        let (mut patient, start) = (self::inspector(), *START);
        patient.inspect(PREFACE, start);
        for second in 0..100 {
            patient.inspect(&one.repeat(100), start + Duration::from_secs(second));
        }
        assert!(!patient.is_ended(), "a hundred each second are nothing");
    }
}
