//! The one meaning of a request's path, by which routes and their rules match. Pure.
//!
//! A rule for `/admin` that `//admin`, `/%61dmin` or `/x/../admin` passes is no rule: the endpoint resolves them to the
//! same page. So a path is normalized once (RFC 3986 section 6.2.2), and everything matches the result: percent-encoded
//! unreserved characters are decoded, the others get capital digits, dot segments are removed, and repeated slashes are
//! one. Only the match uses it: the endpoint gets the path as it came, unless a rule rewrites it.
//!
//! Servers disagree about some paths: whether `%2F` and `%5C` are decoded before a path is split, whether a backslash is
//! a slash, whether `;` begins parameters that are removed before dot segments are (Tomcat and Jetty do so by choice),
//! whether `..` removes an empty segment, and whether it is resolved at all (routers of many frameworks compare
//! prefixes). Such a path has further readings, one for each combination, since one server differs from the next. If any
//! leads to another route, the request is refused. Clients that resolve references send none of them.

use std::borrow::Cow;

/// A path that has no meaning: a `%` without two hexadecimal digits, or an encoded NUL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The readings of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normalized<'a> {
    /// The path as RFC 3986 reads it.
    pub path: Cow<'a, str>,
    /// What other servers may read, if that is something else. Only to find out whether they find the same route.
    pub others: Vec<String>,
}

/// Normalizes a path, without its query. `*`, the target of `OPTIONS *`, stays as it is.
///
/// # Errors
/// [`Malformed`] if the path has no meaning.
pub fn normalize(path: &str) -> Result<Normalized<'_>, Malformed> {
    if !needs_work(path.as_bytes()) {
        return Ok(Normalized { path: Cow::Borrowed(path), others: Vec::new() });
    }
    let decoded = decode(path)?;
    let (strict, doubts) = (resolve(&decoded, 0), doubts(&decoded));
    let mut others: Vec<String> = Vec::new();
    for reading in (1..=ALL).filter(|reading| reading & !doubts == 0) {
        let read = resolve(&decoded, reading);
        if read != strict && !others.contains(&read) {
            others.push(read);
        }
    }
    Ok(Normalized { path: Cow::Owned(strict), others })
}

/// Whether normalization might change a path. Most paths need nothing, so that this one pass is all they cost.
fn needs_work(path: &[u8]) -> bool {
    let mut before = 0;
    for &byte in path {
        match byte {
            b'%' | b'\\' | b';' => return true,
            b'/' | b'.' if before == b'/' => return true,
            _ => before = byte,
        }
    }
    false
}

/// Decodes what is unreserved (RFC 3986 section 2.3), and writes the other encoded bytes with capital digits.
fn decode(path: &str) -> Result<String, Malformed> {
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((plain, encoded)) = rest.split_once('%') {
        decoded.push_str(plain);
        let digits = encoded.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits = digits.ok_or(Malformed)?;
        match u8::from_str_radix(digits, 16).map_err(|_| Malformed)? {
            0 => return Err(Malformed),
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => decoded.push(byte.into()),
            _ => {
                decoded.push('%');
                decoded.push_str(&digits.to_ascii_uppercase());
            }
        }
        rest = encoded.get(2..).unwrap_or_default();
    }
    decoded.push_str(rest);
    Ok(decoded)
}

/// `%2F` and `%5C` are decoded.
const ENCODED: u8 = 1;
/// A backslash is a slash.
const BACKSLASH: u8 = 2;
/// Parameters are removed.
const PARAMETERS: u8 = 4;
/// `..` removes an empty segment.
const EMPTY: u8 = 8;
/// Dot segments stay.
const DOTS: u8 = 16;
const ALL: u8 = ENCODED | BACKSLASH | PARAMETERS | EMPTY | DOTS;

/// Returns how servers may read a decoded path in other ways.
fn doubts(path: &str) -> u8 {
    let has = |text: &str, doubts: u8| if path.contains(text) { doubts } else { 0 };
    has("%2F", ENCODED)
        | has("%5C", ENCODED | BACKSLASH)
        | has("\\", BACKSLASH)
        | has(";", PARAMETERS)
        | has("..", EMPTY | DOTS)
}

/// Removes dot segments (RFC 3986 section 5.2.4) and empty ones, in this way of reading.
fn resolve(path: &str, reading: u8) -> String {
    if !path.starts_with('/') {
        return path.to_owned();
    }
    let is = |way: u8| reading & way != 0;
    let opened;
    let path = if is(ENCODED) {
        opened = path.replace("%2F", "/").replace("%5C", "\\");
        &opened
    } else {
        path
    };
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_in_folder = true;
    for segment in path.split(|c| c == '/' || (c == '\\' && is(BACKSLASH))).skip(1) {
        let name = if is(PARAMETERS) { segment.split(';').next().unwrap_or_default() } else { segment };
        ends_in_folder = matches!(name, "" | "." | "..");
        match name {
            "" if is(EMPTY) => segments.push(name),
            "." | ".." if is(DOTS) => segments.push(name),
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    let mut resolved = String::with_capacity(path.len());
    for segment in segments.iter().filter(|segment| !segment.is_empty()) {
        resolved.push('/');
        resolved.push_str(segment);
    }
    if ends_in_folder {
        resolved.push('/');
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict(path: &str) -> String {
        normalize(path).unwrap().path.into_owned()
    }

    #[test]
    fn spellings_of_one_path_are_one_path() {
        for path in [
            "/admin",
            "//admin",
            "/%61dmin",
            "/%61%64%6d%69%6E",
            "/x/../admin",
            "/./admin",
            "/x/%2e%2e/admin",
            "/..//../admin",
            "/x/.%2E/./admin",
            "///x///..///admin",
        ] {
            assert_eq!(strict(path), "/admin", "{path}");
        }
    }

    #[test]
    fn what_ends_in_a_folder_keeps_its_slash() {
        for (path, expected) in [
            ("/", "/"),
            ("//", "/"),
            ("/..", "/"),
            ("/a/", "/a/"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/a//", "/a/"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(strict(path), expected, "{path}");
        }
    }

    #[test]
    fn reserved_characters_stay_encoded_and_others_as_they_are() {
        for (path, expected) in [
            ("/a%2fb", "/a%2Fb"),
            ("/a%20b%c3%a4", "/a%20b%C3%A4"),
            ("/%2561dmin", "/%2561dmin"),
            ("/a:b@c!$&'()*+,=~-_", "/a:b@c!$&'()*+,=~-_"),
            ("/...", "/..."),
            ("/.well-known/x", "/.well-known/x"),
        ] {
            assert_eq!(strict(path), expected, "{path}");
        }
    }

    #[test]
    fn a_plain_path_is_not_copied() {
        assert!(matches!(normalize("/a/b.c/d").unwrap().path, Cow::Borrowed("/a/b.c/d")));
    }

    #[test]
    fn a_percent_sign_without_digits_and_an_encoded_nul_have_no_meaning() {
        for path in ["/%", "/%4", "/%zz", "/a%", "/%+1", "/%00", "/a%00b", "/%%61", "/%\u{e4}1"] {
            assert_eq!(normalize(path), Err(Malformed), "{path}");
        }
    }

    #[test]
    fn what_servers_read_in_different_ways_has_several_readings() {
        for (path, strict, other) in [
            ("/public/..;/admin", "/public/..;/admin", "/admin"),
            ("/admin;x=1", "/admin;x=1", "/admin"),
            ("/%2Fadmin", "/%2Fadmin", "/admin"),
            ("/x%2f..%2fadmin", "/x%2F..%2Fadmin", "/admin"),
            ("/x%5cadmin", "/x%5Cadmin", "/x/admin"),
            ("/;a/admin", "/;a/admin", "/admin"),
            // The parameters stay where encoded slashes are decoded.
            ("/x%2f..%2fadmin%2f..;%2f..%2fx", "/x%2F..%2Fadmin%2F..;%2F..%2Fx", "/admin/x"),
            ("/admin/x\\..\\..\\public", "/admin/x\\..\\..\\public", "/public"),
            ("/\\admin", "/\\admin", "/admin"),
            ("/admin//../secret", "/secret", "/admin/secret"),
            ("/admin/a/../../public", "/public", "/admin/a/../../public"),
        ] {
            let read = normalize(path).unwrap();
            assert_eq!(read.path, strict, "{path}");
            assert!(read.others.iter().any(|read| read == other), "{path}: {:?}", read.others);
        }
        assert_eq!(normalize("/a//./b%20").unwrap().others, Vec::<String>::new());
    }

    proptest::proptest! {
        #[test]
        fn normalizing_twice_is_normalizing_once(path in "/[a-c./;%\\\\2F5Ce]{0,12}") {
            if let Ok(once) = normalize(&path) {
                proptest::prop_assert_eq!(strict(&once.path), once.path.into_owned());
            }
        }

        #[test]
        fn nothing_climbs_and_nothing_panics(path in "/\\PC{0,20}") {
            if let Ok(Normalized { path, .. }) = normalize(&path) {
                proptest::prop_assert!(path.starts_with('/'));
                proptest::prop_assert!(!path.contains("//"));
                proptest::prop_assert!(!path.split('/').any(|segment| segment == ".." || segment == "."));
            }
        }
    }
}
