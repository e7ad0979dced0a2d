//! A place holder for the page, with its interface.

/// What a browser must not do on this page.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; object-src 'none'";

/// One file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Where it is served, with the slash in front.
    pub path: &'static str,
    /// What it is.
    pub content_type: &'static str,
    /// All of it.
    pub body: &'static str,
}

impl Asset {
    /// Its entity tag, with the quotation marks.
    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.body.len())
    }
}

/// The file that is served at `path`; `/` is the page itself.
#[must_use]
pub fn asset(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// Every file of the page.
pub const ASSETS: &[Asset] = &[Asset {
    path: "/",
    content_type: "text/html; charset=utf-8",
    body: "<!doctype html><html lang=en><title>watch</title><p>See <a href=/api/swarm>/api/swarm</a>.\n",
}];
