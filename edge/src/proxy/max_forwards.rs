//! `Max-Forwards` (RFC 9110 section 7.6.2): a request to the edge itself instead of an application behind it.
//!
//! The recipient of `OPTIONS` with `Max-Forwards: 0` must respond and must not forward the request. Its response is
//! therefore always the edge's own: no application needs a route for it, and none can respond in the edge's place.
//! `edge dns` sends it to each address of a name. Other requests pay only for a comparison of their method.

use crate::protocol::h1::head::Field;

/// The text of the response, which identifies the edge. It never changes and reveals nothing: no version, no host name.
pub const ITSELF: &str = "200: this is the edge, the request went no further\n";

/// `Server` of that response.
pub const SERVER: &str = "edge";

/// The name of the field.
const MAX_FORWARDS: &str = "max-forwards";

/// Returns how often a request may still be forwarded, or `None` without a limit. Only OPTIONS and TRACE have one.
#[must_use]
pub fn limit(method: &str, fields: &[Field<'_>]) -> Option<u32> {
    if !matches!(method, "OPTIONS" | "TRACE") {
        return None;
    }
    let digits = fields.iter().find(|field| is_limit(field))?.value;
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    // A number that is too large to parse is far from zero.
    is_number.then(|| str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX))
}

/// Returns the fields with another limit.
#[must_use]
pub fn limited<'a>(fields: &[Field<'a>], limit: &'a str) -> Vec<Field<'a>> {
    let field = |field: &Field<'a>| if is_limit(field) { Field { value: limit.as_bytes(), ..*field } } else { *field };
    fields.iter().map(field).collect()
}

fn is_limit(field: &Field<'_>) -> bool {
    field.name.eq_ignore_ascii_case(MAX_FORWARDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields<'a>(fields: &[(&'a str, &'a str)]) -> Vec<Field<'a>> {
        fields.iter().map(|&(name, value)| Field { name, value: value.as_bytes() }).collect()
    }

    #[test]
    fn only_options_and_trace_are_limited_and_only_by_a_number() {
        for (method, value, expected) in [
            ("OPTIONS", "0", Some(0)),
            ("TRACE", "10", Some(10)),
            ("OPTIONS", "00", Some(0)),
            ("OPTIONS", "99999999999999999999", Some(u32::MAX)),
            ("OPTIONS", "", None),
            ("OPTIONS", "-1", None),
            ("OPTIONS", "+1", None),
            ("OPTIONS", "none", None),
            ("GET", "0", None),
            ("options", "0", None),
        ] {
            let fields = fields(&[("Host", "a"), ("mAx-forwards", value), ("Max-Forwards", "7")]);
            assert_eq!(limit(method, &fields), expected, "{method} {value}");
        }
        assert_eq!(limit("OPTIONS", &fields(&[("Host", "a")])), None);
    }

    #[test]
    fn nothing_but_the_limit_is_changed() {
        let before = fields(&[("Host", "a"), ("Max-Forwards", "3"), ("X-Max-Forwards", "3")]);
        assert_eq!(limited(&before, "2"), fields(&[("Host", "a"), ("Max-Forwards", "2"), ("X-Max-Forwards", "3")]));
    }
}
