//! Sending clients to another URL.

use http::StatusCode;

use crate::config::template::Template;

/// Sends the client to another URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Where to.
    pub to: RedirectTo,
    /// 301, 302, 303, 307 or 308. Default: 301 for GET and HEAD, and 308 for other methods, with which clients repeat
    /// the request as it is (RFC 9110 section 15.4).
    pub status: Option<StatusCode>,
}

/// The URL of a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectTo {
    /// The same URL with HTTPS on port 443. Requests that use HTTPS pass, and so does `/.well-known/acme-challenge/`,
    /// which authorities ask for over HTTP (RFC 8555 section 8.3).
    Https,
    /// This one, for every request.
    Url(Template),
}
