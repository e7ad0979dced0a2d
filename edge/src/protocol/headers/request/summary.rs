//! What the fields of a request mean to a proxy.

use http::Version;

use crate::{
    error::Kind,
    protocol::{
        h1::{
            framing::Lengths,
            head::{Field, Target},
        },
        headers::{ConnectionOptions, Name, tokens},
    },
};

/// What the fields of a request mean to a proxy, found in one pass.
#[derive(Debug, Default)]
pub struct HeaderSummary<'a> {
    /// The last `Host`.
    pub(super) host: Option<&'a [u8]>,
    pub(super) hosts: usize,
    /// The options of `Connection`.
    pub connection: ConnectionOptions<'a>,
    /// The fields that declare the end of the body.
    pub lengths: Lengths,
    /// Whether the client sends its body only after `100 Continue`.
    pub expects_continue: bool,
    /// The first `Upgrade`.
    pub(super) upgrade: Option<&'a [u8]>,
    /// The first `User-Agent`, for the log.
    pub user_agent: Option<&'a [u8]>,
    /// How often the request passed an edge, by `Via` and `CDN-Loop`.
    pub passes: usize,
    pub(super) cookies: usize,
}

impl<'a> HeaderSummary<'a> {
    /// Summarizes the fields.
    ///
    /// # Errors
    /// [`Kind::BadRequest`] if they contradict each other about the length, or `Connection` names too many fields.
    pub fn of(fields: &[Field<'a>]) -> Result<Self, Kind> {
        let mut summary = Self::default();
        for field in fields {
            match Name::of(field.name.as_bytes()) {
                Name::Host => {
                    summary.host = Some(field.value);
                    summary.hosts += 1;
                }
                Name::Connection => summary.connection.add(field.value).map_err(|_| Kind::BadRequest)?,
                Name::ContentLength => summary.lengths.content_length(field.value).map_err(|_| Kind::BadRequest)?,
                Name::TransferEncoding => summary.lengths.transfer_encoding(field.value),
                Name::Expect => summary.expects_continue |= field.value.eq_ignore_ascii_case(b"100-continue"),
                Name::Upgrade => summary.upgrade = summary.upgrade.or(Some(field.value)),
                Name::UserAgent => summary.user_agent = summary.user_agent.or(Some(field.value)),
                Name::Via => summary.passes += tokens(field.value).filter(|hop| hop.ends_with(b" edge")).count(),
                Name::CdnLoop => summary.passes += tokens(field.value).filter(|hop| is_edge(hop)).count(),
                Name::Cookie => summary.cookies += 1,
                _ => {}
            }
        }
        Ok(summary)
    }

    /// Returns the host of the request: its only `Host`, or the authority of its target.
    ///
    /// # Errors
    /// [`Kind::BadHost`] if `Host` is missing (RFC 9112 section 3.2), repeated, malformed, or differs from the
    /// authority of an absolute target. If two names passed, the proxy could route by one and the upstream by the
    /// other.
    pub fn host(&self, target: &Target<'a>, version: Version) -> Result<Option<&'a str>, Kind> {
        if self.hosts > 1 {
            return Err(Kind::BadHost);
        }
        let host = match (target.authority.map(str::as_bytes), self.host) {
            (None, None) if version == Version::HTTP_10 => return Ok(None),
            (None, Some(host)) => host,
            (Some(authority), None) => authority,
            (Some(authority), Some(host)) if authority.eq_ignore_ascii_case(host) => authority,
            _ => return Err(Kind::BadHost),
        };
        if is_host(host) { str::from_utf8(host).map(Some).map_err(|_| Kind::BadHost) } else { Err(Kind::BadHost) }
    }

    /// Returns the protocol to switch to, if the request asks for one and the edge allows it. It never allows h2c, with
    /// which a client could bypass the edge's routes (RFC 9113 withdrew that upgrade).
    #[must_use]
    pub fn upgrade(&self, version: Version) -> Option<&'a [u8]> {
        let protocol = self.upgrade?;
        let h2c = tokens(protocol).any(|name| name.eq_ignore_ascii_case(b"h2c"));
        (version == Version::HTTP_11 && self.connection.upgrade && !h2c).then_some(protocol)
    }
}

/// Whether an element of `CDN-Loop` names an edge. Parameters may follow the name (RFC 8586 section 2).
fn is_edge(hop: &[u8]) -> bool {
    hop.strip_prefix(b"edge").is_some_and(|rest| rest.first().is_none_or(|byte| b" \t;".contains(byte)))
}

/// Whether this is `uri-host [ ":" port ]` as far as a proxy must check: no user, list, space or path.
fn is_host(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes[0] != b':'
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte))
}
