use http::uri::{PathAndQuery, Scheme};

use super::*;

const MAX: usize = 1000;
const REQUEST: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a.example")];

/// The name and the value of a field.
type Pair<'a> = (&'a [u8], &'a [u8]);

fn fault(role: Role, fields: &[Pair<'_>]) -> Option<Fault> {
    let mut block = Block::new(role, MAX, Vec::new());
    for (name, value) in fields {
        assert!(block.add(name, value).is_continue());
    }
    block.end(false);
    block.fault
}

/// The fault of a request with one more field.
fn with(name: &[u8], value: &[u8]) -> Option<Fault> {
    let request = REQUEST.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    fault(Role::Request, &[&request[..], &[(name, value)]].concat())
}

/// The fault of a request with another value of a pseudo-header field.
fn instead(name: &str, value: &[u8]) -> Option<Fault> {
    let replace = |(field, old): (&'static str, &'static str)| if field == name { value } else { old.as_bytes() };
    let request = REQUEST.map(|field| (field.0.as_bytes(), replace(field)));
    fault(Role::Request, &request)
}

#[test]
fn fields_that_http1_accepts_are_fine() {
    for (name, value) in [
        (&b"x-a"[..], &b""[..]),
        (b"x_a.b~!#$%&'*+^`|", b"\t !~\x80\xff\""),
        (b"te", b"trailers"),
        (b"cookie", b"a=b; c=\"d\""),
    ] {
        assert_eq!(with(name, value), None, "{name:?}");
    }
}

#[test]
fn every_byte_that_http1_rejects_is_a_fault() {
    for byte in 0..=u8::MAX {
        let value = [b'a', byte, b'b'];
        let line = [b"GET / HTTP/1.1\r\nx: ", &value[..], b"\r\n\r\n"].concat();
        // HTTP/1 ends a line here.
        let accepted = byte != b'\n' && httparse::Request::new(&mut [httparse::EMPTY_HEADER; 2]).parse(&line).is_ok();
        assert_eq!(with(b"x", &value).is_none(), accepted, "value with {byte:#x}");
        let line = [b"GET / HTTP/1.1\r\n", &value[..], b": x\r\n\r\n"].concat();
        let accepted = byte != b':' && httparse::Request::new(&mut [httparse::EMPTY_HEADER; 2]).parse(&line).is_ok();
        let upper = byte.is_ascii_uppercase();
        assert_eq!(with(&value, b"x").is_none(), accepted && !upper, "name with {byte:#x}");
        assert_eq!(with(&value, b"x") == Some(Fault::UpperCase), upper, "name with {byte:#x}");
    }
    assert_eq!(with(b"", b"x"), Some(Fault::Name));
}

#[test]
fn a_path_means_the_same_as_in_http1() {
    for byte in 0..=u8::MAX {
        for path in [vec![b'/', byte], vec![b'/', b'?', byte], vec![byte]] {
            let line = [b"GET ", &path[..], b" HTTP/1.1\r\n\r\n"].concat();
            let mut fields = [httparse::EMPTY_HEADER; 2];
            let accepted = httparse::Request::new(&mut fields).parse(&line).is_ok();
            let accepted = accepted && byte != b'#' && (path.len() > 1 || matches!(byte, b'/' | b'*'));
            assert_eq!(instead(":path", &path).is_none(), accepted, "{path:?}");
            if is_path(&path) && is_simple(&path) {
                assert!(PathAndQuery::try_from(&path[..]).is_ok(), "h2 accepts {path:?}");
            }
        }
    }
    assert_eq!(instead(":path", "/\u{e9}\u{20ac}".as_bytes()), None);
    assert_eq!(instead(":path", b"/\xe9"), Some(Fault::Path));
    assert_eq!(instead(":path", b"http://a.example/"), Some(Fault::Path));
    assert_eq!(instead(":path", b""), Some(Fault::PseudoField));
    let mut long = Block::new(Role::Request, 1 << 20, Vec::new());
    assert!(long.add(b":path", &[b'/'; MAX_TARGET + 1]).is_continue());
    assert_eq!(long.fault, Some(Fault::PathTooLong));
}

#[test]
fn h2_accepts_every_authority_and_scheme_without_a_fault() {
    for value in
        ["a", "a.example:80", "[::1]", "[::1]:80", "user@a", "a:", ":80", "", "a/b", "a b", "a\"b", "a:b:c", "\u{e9}"]
    {
        let fault = instead(":authority", value.as_bytes());
        assert!(fault.is_some() || Authority::try_from(value).is_ok(), "{value}");
    }
    assert_eq!(instead(":authority", b"a.example:80"), None);
    assert_eq!(instead(":authority", b"a/b"), Some(Fault::Authority));
    assert_eq!(instead(":authority", b""), Some(Fault::Authority));
    for value in ["http", "https", "x+y-z.1", "", "a b", "h\u{e9}", &"a".repeat(65)] {
        let fault = instead(":scheme", value.as_bytes());
        assert!(fault.is_some() || Scheme::try_from(value).is_ok(), "{value}");
    }
    assert_eq!((instead(":scheme", b"https"), instead(":scheme", b"x+y-z.1")), (None, None));
    for value in ["GET", "get", "M-SEARCH", "", "G@T", "G T", "\u{e9}"] {
        let fault = instead(":method", value.as_bytes());
        assert_eq!(fault.is_none(), http::Method::from_bytes(value.as_bytes()).is_ok(), "{value}");
    }
}

#[test]
fn rules_that_only_http2_has_are_faults_that_reset_the_stream() {
    for (name, value) in [
        (&b"X-A"[..], &b"1"[..]),
        (b":path", b"/"),
        (b":status", b"200"),
        (b":protocol", b"websocket"),
        (b":unknown", b""),
        (b"connection", b"x"),
        (b"keep-alive", b"x"),
        (b"proxy-connection", b"x"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"h2c"),
        (b"te", b"trailers, deflate"),
    ] {
        assert_eq!(with(name, value).map(Fault::answer), Some(Answer::Reset), "{name:?}");
    }
    let [method, scheme, path, authority] = REQUEST.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    for fields in [
        &[scheme, path, authority][..],
        &[method, path, authority],
        &[method, scheme, authority],
        &[method, scheme, (b"x", b"1"), path],
        &[],
        &[(b":method", b"CONNECT"), path, authority],
        &[(b":method", b"CONNECT"), scheme, path, authority],
    ] {
        assert_eq!(fault(Role::Request, fields), Some(Fault::PseudoField), "{fields:?}");
    }
    assert_eq!(fault(Role::Request, &[(b":method", b"CONNECT"), authority]), None);
    assert_eq!(fault(Role::Trailers, &[(b"x", b"1"), path]), Some(Fault::PseudoField));
    assert_eq!(fault(Role::Trailers, &[(b"x", b"1")]), None);
}

#[test]
fn a_reset_is_more_severe_than_a_response() {
    let [method, scheme, path, _] = REQUEST.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let [value, upper]: [Pair<'_>; 2] = [(b"x", b"\x01"), (b"X", b"1")];
    for fields in [[method, scheme, path, value, upper], [method, scheme, path, upper, value]] {
        assert_eq!(fault(Role::Request, &fields), Some(Fault::UpperCase));
    }
}

#[test]
fn a_length_is_one_number_and_that_of_the_body() {
    for (values, ends_stream, expected) in [
        (&["5"][..], false, None),
        (&["5", "5"], false, None),
        (&["0"], true, None),
        (&["9223372036854775807"], false, None),
        (&["5"], true, Some(Fault::Length)),
        (&["5", "6"], false, Some(Fault::Length)),
        (&[""], false, Some(Fault::Length)),
        (&["+5"], false, Some(Fault::Length)),
        (&["5, 5"], false, Some(Fault::Length)),
        (&["00000000000000000005"], false, Some(Fault::Length)),
    ] {
        let mut block = Block::new(Role::Request, MAX, Vec::new());
        for (name, value) in REQUEST.into_iter().chain(values.iter().map(|value| ("content-length", *value))) {
            assert!(block.add(name.as_bytes(), value.as_bytes()).is_continue());
        }
        block.end(ends_stream);
        assert_eq!(block.fault, expected, "{values:?}");
        let written = block.rewrite(&Token::new([1, 2]));
        let length = written.windows(14).filter(|part| *part == b"content-length").count();
        assert_eq!(length, usize::from(expected.is_none()), "{values:?}");
    }
    assert_eq!(fault(Role::Trailers, &[(b"content-length", b"x")]), None, "the edge does not forward it");
}

#[test]
fn a_connect_has_no_body() {
    for (length, expected) in [("0", None), ("5", Some(Fault::Length))] {
        let fields = [(":method", "CONNECT"), (":authority", "a.example:443"), ("content-length", length)];
        let fields = fields.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        assert_eq!(fault(Role::Request, &fields), expected, "{length}");
    }
}

#[test]
fn a_list_that_is_too_large_is_a_fault_and_what_h2_gets_is_not() {
    for (name, value) in [("x", "1"), (":path", "/")] {
        let mut block = Block::new(Role::Request, MAX, Vec::new());
        let large = "v".repeat(MAX - 32 - name.len());
        let fields = [(":method", "GET"), (":scheme", "http"), (name, value), ("x-last", "1")];
        for (at, (name, value)) in fields.into_iter().enumerate() {
            let value = if at == 2 { format!("{value}{large}") } else { value.to_owned() };
            assert!(block.add(name.as_bytes(), value.as_bytes()).is_continue());
        }
        block.end(true);
        assert_eq!(block.fault, Some(Fault::TooLarge), "{name}");
        assert!(block.rewrite(&Token::new([1, 2])).len() < MAX, "{name}");
    }
    assert_eq!(fault(Role::Trailers, &[(b"x", &[b'v'; MAX])]), Some(Fault::TooLarge));
}

#[test]
fn a_list_that_is_far_too_large_ends_the_connection() {
    let mut block = Block::new(Role::Request, MAX, Vec::new());
    let added = (0..MAX).take_while(|_| block.add(b"x", b"1").is_continue()).count();
    assert_eq!(added, ABUSE * MAX / 34);
    assert!(block.written.len() <= MAX, "what h2 does not get is not kept");
}
