//! The cookies of a request.

use crate::protocol::{h1::head::Field, headers::Name};

/// Returns the value of the first cookie of a name, without quotes (RFC 6265 section 5.4; names are compared exactly).
#[must_use]
pub fn cookie<'a>(fields: &[Field<'a>], name: &str) -> Option<&'a [u8]> {
    let is_cookie = |field: &&Field<'_>| Name::of(field.name.as_bytes()) == Name::Cookie;
    let pairs = fields.iter().filter(is_cookie).flat_map(|field| field.value.split(|byte| *byte == b';'));
    for pair in pairs {
        let Some(position) = memchr::memchr(b'=', pair) else { continue };
        let (key, value) = pair.split_at(position);
        if key.trim_ascii() == name.as_bytes() {
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            return Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::headers::tests::fields;

    #[test]
    fn the_first_cookie_of_the_name_counts() {
        for (values, expected) in [
            (&["a=1"][..], Some("1")),
            (&["b=2; a=1; a=3"], Some("1")),
            (&["b=2;a = \"1\" "], Some("1")),
            (&["xa=2; A=3"], None),
            (&["b=2", "a=1=0"], Some("1=0")),
            (&["a"], None),
            (&["a="], Some("")),
            (&["a=\""], Some("\"")),
            (&[], None),
        ] {
            let pairs: Vec<_> = values.iter().map(|value| ("Cookie", *value)).collect();
            assert_eq!(cookie(&fields(&pairs), "a"), expected.map(str::as_bytes), "{values:?}");
        }
        assert_eq!(cookie(&fields(&[("X-Cookie", "a=1")]), "a"), None);
    }
}
