//! `Max-Forwards` (RFC 9110 section 7.6.2): how a client asks for the edge itself and not for what is behind
//! it.
//!
//! `OPTIONS` with `Max-Forwards: 0` must be answered by whoever gets it and never be passed on. That makes it
//! the one question whose answer can only be the edge's own: no application has a route for it, and none can
//! answer in the edge's place. `edge dns` asks it of each address of a name. It costs other requests nothing
//! but the look at their method.

use crate::protocol::h1::head::Field;

/// Where the question ends: the text of the answer, by which the edge is recognised. Nothing in it is private
/// or changes: no version, no name of a host.
pub const ITSELF: &str = "200: this is the edge, the request went no further\n";

/// `Server` of that answer.
pub const SERVER: &str = "edge";

/// The field.
const MAX_FORWARDS: &str = "max-forwards";

/// How often a request may still be passed on; `None` for one that says nothing about it. Only OPTIONS and
/// TRACE can.
#[must_use]
pub fn limit(method: &str, fields: &[Field<'_>]) -> Option<u32> {
    if !matches!(method, "OPTIONS" | "TRACE") {
        return None;
    }
    let digits = fields.iter().find(|field| is_limit(field))?.value;
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    // A number beyond all bounds is far away from zero.
    is_number.then(|| str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(u32::MAX))
}

/// The same fields with another limit in them.
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
