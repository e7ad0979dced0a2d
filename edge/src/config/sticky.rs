//! Cookies that tie clients to endpoints.

use std::{path::PathBuf, time::Duration};

/// The cookie that ties a client to the endpoint that answered it first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sticky {
    /// Its name. Default `edge_` and the name of the pool, since a site may have several pools.
    pub cookie: String,
    /// `Path`, below which clients send it. Default `/`.
    pub path: String,
    /// `SameSite`. Default [`SameSite::Lax`].
    pub same_site: SameSite,
    /// `Secure`, with which clients send it over HTTPS only. `None`, the default: if the request came over HTTPS.
    pub secure: Option<bool>,
    /// `HttpOnly`, which hides it from scripts. Default true.
    pub http_only: bool,
    /// `Max-Age`, how long clients keep it. `None`, the default: until the browser ends.
    pub max_age: Option<Duration>,
    /// File with the key that hides the endpoint's address; the same on every edge. A blank file counts as none.
    pub key_file: Option<PathBuf>,
}

/// With which requests of other sites a client sends a cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// With links to the site.
    #[default]
    Lax,
    /// With none.
    Strict,
    /// With all, over HTTPS only.
    None,
}

impl Sticky {
    /// Creates the cookie of the pool `name`, with defaults.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            cookie: format!("edge_{name}"),
            path: "/".to_owned(),
            same_site: SameSite::default(),
            secure: None,
            http_only: true,
            max_age: None,
            key_file: None,
        }
    }
}
