//! Parses message heads. The parts borrow from the bytes.
//!
//! The parser is `httparse`, as in hyper. It accepts tokens, visible text and line ends as RFC 9112 sections 3 to 5
//! define them, rejects folded lines and blanks before a colon, and accepts a bare LF as a line end (section 2.2),
//! which is harmless because every line is written again.

use std::mem::MaybeUninit;

use http::Version;
pub use httparse::Header as Field;

use crate::error::Kind;

/// The most fields of trailers.
pub const MAX_FIELDS: usize = 128;
/// The longest target, in bytes; common servers have a similar limit.
pub const MAX_TARGET: usize = 65_534;

/// The fields that are parsed on the stack. A configuration that allows more costs an allocation per request.
const STACK_FIELDS: usize = MAX_FIELDS;

/// A request head.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The target as sent.
    pub target: Target<'a>,
    /// 1.0 or 1.1.
    pub version: Version,
    /// The fields in the order received.
    pub fields: &'a [Field<'a>],
}

/// A request target (RFC 9112 section 3.2), without the authority form, which is for CONNECT only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// Host and port of an absolute target.
    pub authority: Option<&'a str>,
    /// Path and query, or `*`.
    pub path_and_query: &'a str,
}

impl<'a> Target<'a> {
    /// The path, which routes match.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }
}

/// A response head.
#[derive(Debug)]
pub struct Response<'a> {
    /// The status, from 100 to 999.
    pub status: u16,
    /// The text after the status, perhaps empty.
    pub reason: &'a str,
    /// 1.0 or 1.1.
    pub version: Version,
    /// The fields in the order received.
    pub fields: &'a [Field<'a>],
}

/// Whether `bytes` contains the end of a head, where the bytes before `from` were already searched. Avoids parsing the
/// whole head again for each byte of a client that sends it byte by byte.
#[must_use]
pub fn is_complete(bytes: &[u8], from: usize) -> bool {
    let new = &bytes[from.saturating_sub(3).min(bytes.len())..];
    memchr::memchr_iter(b'\n', new).any(|at| matches!(new[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

/// Room for the fields of a head: on the stack for up to [`MAX_FIELDS`], allocated for more.
#[derive(Debug)]
pub struct FieldSlots<'b> {
    max: usize,
    on_stack: [MaybeUninit<Field<'b>>; STACK_FIELDS],
    allocated: Vec<MaybeUninit<Field<'b>>>,
}

impl<'b> FieldSlots<'b> {
    /// Room for `max` fields.
    #[inline]
    #[must_use]
    pub fn new(max: usize) -> Self {
        let allocated = if max <= STACK_FIELDS { Vec::new() } else { vec![MaybeUninit::uninit(); max] };
        Self { max, on_stack: [const { MaybeUninit::uninit() }; STACK_FIELDS], allocated }
    }

    fn as_mut(&mut self) -> &mut [MaybeUninit<Field<'b>>] {
        if self.max <= STACK_FIELDS { &mut self.on_stack[..self.max] } else { &mut self.allocated }
    }
}

/// Parses the first request head in `bytes` and returns it with its length; `None` while it is incomplete.
///
/// # Errors
/// [`Kind::BadRequest`], [`Kind::HeadTooLarge`] for more fields than `slots` has room for, [`Kind::TargetTooLong`],
/// or [`Kind::BadTarget`] for CONNECT and other targets that cannot be forwarded.
pub fn parse_request<'a, 'b: 'a>(
    bytes: &'b [u8],
    slots: &'a mut FieldSlots<'b>,
) -> Result<Option<(Request<'a>, usize)>, Kind> {
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(bytes, slots.as_mut()) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Kind::HeadTooLarge),
        Err(_) => return Err(Kind::BadRequest),
    };
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Kind::BadRequest);
    };
    let version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let target = self::target(method, target)?;
    Ok(Some((Request { method, target, version, fields: parsed.headers }, length)))
}

/// Parses the first response head in `bytes`, with at most `max_fields` fields. Returns the result of `then` and the
/// length of the head, or `None` while the head is incomplete.
///
/// # Errors
/// [`Kind::UpstreamInvalid`] if it is malformed, [`Kind::UpstreamHeadTooLarge`] if it has more fields.
pub fn response<T>(
    bytes: &[u8],
    max_fields: usize,
    then: impl FnOnce(&Response<'_>) -> T,
) -> Result<Option<(T, usize)>, Kind> {
    let mut slots = FieldSlots::new(max_fields);
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, bytes, slots.as_mut()) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Kind::UpstreamHeadTooLarge),
        Err(_) => return Err(Kind::UpstreamInvalid),
    };
    let (Some(status @ 100..), Some(minor)) = (parsed.code, parsed.version) else {
        return Err(Kind::UpstreamInvalid);
    };
    let version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let reason = parsed.reason.unwrap_or_default();
    Ok(Some((then(&Response { status, reason, version, fields: parsed.headers }), length)))
}

/// Parses the trailer section, including its empty line.
///
/// # Errors
/// [`Kind::BadRequest`] if it is malformed or has more than [`MAX_FIELDS`].
pub fn trailers<T>(bytes: &[u8], then: impl FnOnce(&[Field<'_>]) -> T) -> Result<T, Kind> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_FIELDS];
    match httparse::parse_headers(bytes, &mut slots) {
        Ok(httparse::Status::Complete((_, fields))) => Ok(then(fields)),
        Ok(httparse::Status::Partial) | Err(_) => Err(Kind::BadRequest),
    }
}

/// Parses a target. Its text is forwarded unchanged, so its characters are checked here: no blank, control character or
/// fragment (RFC 3986 section 3.5: a fragment is never sent).
fn target<'a>(method: &str, target: &'a str) -> Result<Target<'a>, Kind> {
    if method == "CONNECT" {
        return Err(Kind::BadTarget);
    }
    if target.len() > MAX_TARGET {
        return Err(Kind::TargetTooLong);
    }
    if !target.bytes().all(|byte| matches!(byte, b'!'..=b'~' | 0x80..) && byte != b'#') {
        return Err(Kind::BadRequest);
    }
    if is_path(method, target) {
        return Ok(Target { authority: None, path_and_query: target });
    }
    let rest = strip_scheme(target).ok_or(Kind::BadRequest)?;
    let (authority, path_and_query) = match rest.find(['/', '?']) {
        None => (rest, "/"),
        Some(at) if rest[at..].starts_with('/') => rest.split_at(at),
        // A query without a path would need a `/` before it, and no common client sends one.
        Some(_) => return Err(Kind::BadRequest),
    };
    Ok(Target { authority: Some(authority), path_and_query })
}

/// Whether a target is a path, or the asterisk of OPTIONS (RFC 9112 sections 3.2.1 and 3.2.4).
#[must_use]
pub fn is_path(method: &str, target: &str) -> bool {
    target.starts_with('/') || (target == "*" && method == "OPTIONS")
}

/// Returns what follows `http://` or `https://`, in any case.
fn strip_scheme(target: &str) -> Option<&str> {
    ["http://", "https://"].into_iter().find_map(|scheme| {
        let start = target.get(..scheme.len())?;
        if start.eq_ignore_ascii_case(scheme) { target.get(scheme.len()..) } else { None }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A request as its parts, for comparison.
    type Parts = (String, Option<String>, String, Version, Vec<(String, Vec<u8>)>);

    fn parse(bytes: &[u8]) -> Result<Option<(Parts, usize)>, Kind> {
        parse_with_room(bytes, 100)
    }

    fn parse_with_room(bytes: &[u8], max_fields: usize) -> Result<Option<(Parts, usize)>, Kind> {
        let mut slots = FieldSlots::new(max_fields);
        let parts = |request: &Request<'_>| {
            (
                request.method.to_owned(),
                request.target.authority.map(str::to_owned),
                request.target.path_and_query.to_owned(),
                request.version,
                request.fields.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect(),
            )
        };
        Ok(parse_request(bytes, &mut slots)?.map(|(request, length)| (parts(&request), length)))
    }

    #[test]
    fn a_head_is_parsed_and_its_length_returned() {
        let bytes = b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nX:  y \r\n\r\nrest";
        let (parts, length) = parse(bytes).unwrap().unwrap();
        let fields = vec![("Host".to_owned(), b"a".to_vec()), ("X".to_owned(), b"y".to_vec())];
        assert_eq!(parts, ("GET".into(), None, "/a?b=c".into(), Version::HTTP_11, fields));
        assert_eq!(&bytes[length..], b"rest");
    }

    #[test]
    fn a_target_is_a_path_an_absolute_address_or_an_asterisk() {
        for (line, expected) in [
            ("GET / HTTP/1.1", Ok((None, "/"))),
            ("GET //x/../y?z=/ HTTP/1.1", Ok((None, "//x/../y?z=/"))),
            ("GET http://a.example HTTP/1.1", Ok((Some("a.example"), "/"))),
            ("GET HTTP://a.example:80/b?c HTTP/1.1", Ok((Some("a.example:80"), "/b?c"))),
            ("GET https://[::1]/ HTTP/1.1", Ok((Some("[::1]"), "/"))),
            ("OPTIONS * HTTP/1.1", Ok((None, "*"))),
            ("GET * HTTP/1.1", Err(Kind::BadRequest)),
            ("GET a HTTP/1.1", Err(Kind::BadRequest)),
            ("GET ftp://a/ HTTP/1.1", Err(Kind::BadRequest)),
            ("GET http://a?b HTTP/1.1", Err(Kind::BadRequest)),
            ("GET /a#b HTTP/1.1", Err(Kind::BadRequest)),
            ("GET /a b HTTP/1.1", Err(Kind::BadRequest)),
            ("GET /a\u{7f} HTTP/1.1", Err(Kind::BadRequest)),
            ("CONNECT a:443 HTTP/1.1", Err(Kind::BadTarget)),
            ("GET / HTTP/1.2", Err(Kind::BadRequest)),
            ("GET / HTTP/2.0", Err(Kind::BadRequest)),
            ("GET / http/1.1", Err(Kind::BadRequest)),
        ] {
            let found = parse(format!("{line}\r\n\r\n").as_bytes()).map(|found| {
                let ((_, authority, path_and_query, ..), _) = found.unwrap();
                (authority, path_and_query)
            });
            let expected = expected.map(|(authority, rest)| (authority.map(str::to_owned), rest.to_owned()));
            assert_eq!(found, expected, "{line}");
        }
    }

    #[test]
    fn malformed_heads_are_rejected() {
        for head in [
            "GET / HTTP/1.1\r\nX: 1\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nX : 1\r\n\r\n",
            "GET / HTTP/1.1\r\n: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET / HTTP/1.1\r\nX: \0\r\n\r\n",
            "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET\t/ HTTP/1.1\r\n\r\n",
            "G@T / HTTP/1.1\r\n\r\n",
            "GET /\r\n\r\n",
        ] {
            assert_eq!(parse(head.as_bytes()), Err(Kind::BadRequest), "{head:?}");
        }
    }

    #[test]
    fn too_many_fields_make_a_head_too_large() {
        let head = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "X: 1\r\n".repeat(count));
        for max in [10, 500] {
            assert!(parse_with_room(head(max).as_bytes(), max).unwrap().is_some());
            assert_eq!(parse_with_room(head(max + 1).as_bytes(), max), Err(Kind::HeadTooLarge));
        }
    }

    #[test]
    fn a_response_with_too_many_fields_is_not_called_malformed() {
        let head = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: 1\r\n".repeat(count));
        for max in [10, 500] {
            assert!(response(head(max).as_bytes(), max, |_| ()).unwrap().is_some());
            assert_eq!(response(head(max + 1).as_bytes(), max, |_| ()), Err(Kind::UpstreamHeadTooLarge));
        }
    }

    #[test]
    fn a_response_needs_a_status_but_no_reason() {
        let parse =
            |text: &str| response(text.as_bytes(), 100, |head| (head.status, head.reason.to_owned(), head.version));
        assert_eq!(parse("HTTP/1.1 200 OK\r\n\r\n"), Ok(Some(((200, "OK".into(), Version::HTTP_11), 19))));
        assert_eq!(parse("HTTP/1.0 404\r\n\r\n"), Ok(Some(((404, String::new(), Version::HTTP_10), 16))));
        assert_eq!(parse("HTTP/1.1 20"), Ok(None));
        for bad in ["HTTP/1.1 099 x\r\n\r\n", "HTTP/2 200 OK\r\n\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 2000\r\n\r\n"] {
            assert_eq!(parse(bad), Err(Kind::UpstreamInvalid), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _parsed = parse(&bytes);
            let _parsed = response(&bytes, 100, |_| ());
            let _parsed = trailers(&bytes, |_| ());
        }

        #[test]
        fn a_head_is_complete_wherever_it_was_cut(at in 0_usize..40, lf in any::<bool>()) {
            let end = if lf { "\n" } else { "\r\n" };
            let head = format!("GET / HTTP/1.1{end}Host: a{end}{end}");
            let at = at.min(head.len() - 1);
            prop_assert_eq!(parse(&head.as_bytes()[..at]).unwrap(), None);
            prop_assert!(!is_complete(&head.as_bytes()[..at], 0));
            prop_assert!(is_complete(head.as_bytes(), at));
            prop_assert!(parse(head.as_bytes()).unwrap().is_some());
        }
    }
}
