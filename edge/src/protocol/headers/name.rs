//! The fields that mean something to a proxy.

use crate::protocol::steps;

/// A field by its meaning to the edge. All others are passed on unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// `CDN-Loop`
    CdnLoop,
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
    /// `X-Forwarded-Port`
    XForwardedPort,
    /// `X-Forwarded-Proto`
    XForwardedProto,
    /// `X-Real-IP`
    XRealIp,
    /// Another field in which a proxy describes the original request, such as `X-Forwarded-Prefix` or
    /// `X-Original-URL`. Frameworks believe it, so only a trusted proxy may send it.
    Origin,
    /// Hop-by-hop, and without a meaning to the edge (RFC 9110 section 7.6.1).
    HopByHop,
    /// `X_Forwarded_For`, `Content_Length` and similar names: many application servers treat `_` like `-`, as CGI does,
    /// and would read it as the field that the edge checked or replaced.
    LookAlike,
    /// Anything else.
    Other,
}

impl Name {
    /// Classifies a field name, in any case. The length leaves few names to compare.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        steps::count();
        match Self::exact(name) {
            Self::Other | Self::Origin if name.contains(&b'_') => Self::with_underscores(name),
            exact => exact,
        }
    }

    /// Whether the field describes the request's way to the edge. It is for every recipient, so `Connection` must not
    /// name it (RFC 9110 section 7.6.1).
    pub(super) fn is_forwarding(self) -> bool {
        matches!(
            self,
            Self::XForwardedFor
                | Self::XForwardedHost
                | Self::XForwardedPort
                | Self::XForwardedProto
                | Self::XRealIp
                | Self::Origin
                | Self::Forwarded
                | Self::Via
                | Self::CdnLoop
        )
    }

    fn exact(name: &[u8]) -> Self {
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
            6 if is("x-host") => Self::Origin,
            8 if is("cdn-loop") => Self::CdnLoop,
            8 if is("x-scheme") => Self::Origin,
            9 if is("client-ip") => Self::Origin,
            9 if is("forwarded") => Self::Forwarded,
            9 if is("x-real-ip") => Self::XRealIp,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::HopByHop,
            10 if is("user-agent") => Self::UserAgent,
            11 if is("x-client-ip") => Self::Origin,
            12 if is("x-url-scheme") => Self::Origin,
            13 if is("x-rewrite-url") => Self::Origin,
            14 if is("content-length") => Self::ContentLength,
            14 if is("true-client-ip") => Self::Origin,
            15 if is("x-forwarded-for") => Self::XForwardedFor,
            15 if is("front-end-https") => Self::Origin,
            16 if is("proxy-connection") => Self::HopByHop,
            16 if is("x-forwarded-host") => Self::XForwardedHost,
            16 if is("x-forwarded-port") => Self::XForwardedPort,
            17 if is("transfer-encoding") => Self::TransferEncoding,
            17 if is("x-forwarded-proto") => Self::XForwardedProto,
            18 if is("proxy-authenticate") => Self::HopByHop,
            19 if is("proxy-authorization") => Self::HopByHop,
            19 if is("x-cluster-client-ip") => Self::Origin,
            _ if ["x-forwarded", "x-original-"].iter().any(|prefix| starts_with(name, prefix)) => Self::Origin,
            _ => Self::Other,
        }
    }

    /// Classifies a name that has `_` where a field the edge reads may have `-`.
    fn with_underscores(name: &[u8]) -> Self {
        let mut hyphens = [0; LONGEST];
        let length = name.len().min(LONGEST);
        for (to, from) in hyphens.iter_mut().zip(name) {
            *to = if *from == b'_' { b'-' } else { *from };
        }
        match Self::exact(&hyphens[..length]) {
            // Nothing is decided by them.
            Self::Other | Self::UserAgent => Self::Other,
            _ => Self::LookAlike,
        }
    }
}

/// No name that is matched as a whole is longer. What is cut off a longer name can then only have a known prefix.
const LONGEST: usize = 32;

fn starts_with(name: &[u8], prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_in_any_case_and_only_as_a_whole() {
        for (name, expected) in [
            ("te", Name::HopByHop),
            ("via", Name::Via),
            ("cdn-loop", Name::CdnLoop),
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
            ("x-forwarded-port", Name::XForwardedPort),
            ("x-forwarded-proto", Name::XForwardedProto),
            ("proxy-connection", Name::HopByHop),
            ("transfer-encoding", Name::TransferEncoding),
            ("proxy-authenticate", Name::HopByHop),
            ("proxy-authorization", Name::HopByHop),
            ("x-real-ip", Name::XRealIp),
            ("x-host", Name::Origin),
            ("x-scheme", Name::Origin),
            ("client-ip", Name::Origin),
            ("x-client-ip", Name::Origin),
            ("x-url-scheme", Name::Origin),
            ("x-rewrite-url", Name::Origin),
            ("true-client-ip", Name::Origin),
            ("front-end-https", Name::Origin),
            ("x-cluster-client-ip", Name::Origin),
        ] {
            assert_eq!(Name::of(name.as_bytes()), expected, "{name}");
            assert_eq!(Name::of(name.to_ascii_uppercase().as_bytes()), expected, "{name}");
            let longer = if name.starts_with("x-forwarded") { Name::Origin } else { Name::Other };
            assert_eq!(Name::of(format!("{name}x").as_bytes()), longer, "{name}x");
            assert_eq!(Name::of(format!("y{}", &name[1..]).as_bytes()), Name::Other, "y{}", &name[1..]);
        }
        assert_eq!(Name::of(b""), Name::Other);
    }

    #[test]
    fn every_field_of_the_forwarding_family_is_known() {
        for name in [
            "X-Forwarded",
            "X-Forwarded-By",
            "X-Forwarded-Prefix",
            "X-Forwarded-Proto-Version",
            "X-Forwarded-Scheme",
            "X-Forwarded-Server",
            "X-Forwarded-Ssl",
            "X-Forwarded-Something-Nobody-Has-Invented-Yet",
            "X-Original-Forwarded-For",
            "X-Original-Host",
            "X-Original-URL",
        ] {
            assert_eq!(Name::of(name.as_bytes()), Name::Origin, "{name}");
        }
        assert_eq!(Name::of(b"X-Forward"), Name::Other);
        assert_eq!(Name::of(b"X-Originals"), Name::Other);
    }

    #[test]
    fn underscores_do_not_hide_a_field_that_the_edge_reads() {
        for name in [
            "x_forwarded_for",
            "X-Forwarded_For",
            "x_forwarded-proto",
            "x_forwarded_host",
            "x_forwarded_xyz",
            "x_forwarded_something_nobody_has_invented_yet",
            "X_Real_IP",
            "x-original_url",
            "content_length",
            "Transfer_Encoding",
            "keep_alive",
        ] {
            assert_eq!(Name::of(name.as_bytes()), Name::LookAlike, "{name}");
        }
        for name in ["x_request_id", "user_agent", "_host", "content_lengths", "_"] {
            assert_eq!(Name::of(name.as_bytes()), Name::Other, "{name}");
        }
    }
}
