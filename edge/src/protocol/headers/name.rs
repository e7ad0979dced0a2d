//! The fields that mean something to a proxy.

/// A field by its meaning to the edge. All others are passed on unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// `Connection`
    Connection,
    /// `Content-Length`
    ContentLength,
    /// `Cookie`
    Cookie,
    /// `Date`
    Date,
    /// `Expect`
    Expect,
    /// `Forwarded`
    Forwarded,
    /// `Host`
    Host,
    /// `Trailer`
    Trailer,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Upgrade`
    Upgrade,
    /// `User-Agent`
    UserAgent,
    /// `Via`
    Via,
    /// `X-Forwarded-For`
    XForwardedFor,
    /// `X-Forwarded-Host`
    XForwardedHost,
    /// `X-Forwarded-Proto`
    XForwardedProto,
    /// Hop-by-hop, and without a meaning to the edge (RFC 9110 section 7.6.1).
    HopByHop,
    /// `X_Forwarded_For` and similar names: many application servers treat `_` like `-`.
    LookAlike,
    /// Anything else.
    Other,
}

impl Name {
    /// Classifies a field name, in any case. The length leaves at most three names to compare.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            2 if is("te") => Self::HopByHop,
            3 if is("via") => Self::Via,
            4 if is("host") => Self::Host,
            4 if is("date") => Self::Date,
            6 if is("cookie") => Self::Cookie,
            6 if is("expect") => Self::Expect,
            7 if is("upgrade") => Self::Upgrade,
            7 if is("trailer") => Self::Trailer,
            9 if is("forwarded") => Self::Forwarded,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::HopByHop,
            10 if is("user-agent") => Self::UserAgent,
            14 if is("content-length") => Self::ContentLength,
            15 => forwarded(name, b"x-forwarded-for", Self::XForwardedFor),
            16 if is("proxy-connection") => Self::HopByHop,
            16 => forwarded(name, b"x-forwarded-host", Self::XForwardedHost),
            17 if is("transfer-encoding") => Self::TransferEncoding,
            17 => forwarded(name, b"x-forwarded-proto", Self::XForwardedProto),
            18 if is("proxy-authenticate") => Self::HopByHop,
            19 if is("proxy-authorization") => Self::HopByHop,
            _ => Self::Other,
        }
    }
}

fn forwarded(name: &[u8], known: &[u8], meaning: Name) -> Name {
    if name.eq_ignore_ascii_case(known) {
        return meaning;
    }
    let alike = |(byte, known): (&u8, &u8)| byte.eq_ignore_ascii_case(known) || (*byte == b'_' && *known == b'-');
    if name.iter().zip(known).all(alike) { Name::LookAlike } else { Name::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_in_any_case_and_only_as_a_whole() {
        for (name, expected) in [
            ("te", Name::HopByHop),
            ("via", Name::Via),
            ("host", Name::Host),
            ("date", Name::Date),
            ("cookie", Name::Cookie),
            ("expect", Name::Expect),
            ("upgrade", Name::Upgrade),
            ("trailer", Name::Trailer),
            ("forwarded", Name::Forwarded),
            ("connection", Name::Connection),
            ("keep-alive", Name::HopByHop),
            ("user-agent", Name::UserAgent),
            ("content-length", Name::ContentLength),
            ("x-forwarded-for", Name::XForwardedFor),
            ("x-forwarded-host", Name::XForwardedHost),
            ("x-forwarded-proto", Name::XForwardedProto),
            ("proxy-connection", Name::HopByHop),
            ("transfer-encoding", Name::TransferEncoding),
            ("proxy-authenticate", Name::HopByHop),
            ("proxy-authorization", Name::HopByHop),
        ] {
            assert_eq!(Name::of(name.as_bytes()), expected, "{name}");
            assert_eq!(Name::of(name.to_ascii_uppercase().as_bytes()), expected, "{name}");
            assert_eq!(Name::of(format!("{name}x").as_bytes()), Name::Other, "{name}x");
            assert_eq!(Name::of(format!("y{}", &name[1..]).as_bytes()), Name::Other, "y{}", &name[1..]);
        }
        assert_eq!(Name::of(b""), Name::Other);
    }

    #[test]
    fn underscores_do_not_hide_a_forwarded_field() {
        for name in ["x_forwarded_for", "X-Forwarded_For", "x_forwarded-proto", "x_forwarded_host"] {
            assert_eq!(Name::of(name.as_bytes()), Name::LookAlike, "{name}");
        }
        for name in ["x_request_id", "x_forwarded_xyz", "content_length"] {
            assert_eq!(Name::of(name.as_bytes()), Name::Other, "{name}");
        }
    }
}
