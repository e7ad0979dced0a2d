//! The live page: its files, which are part of the program.
//!
//! There is no build step and nothing comes from elsewhere: what a browser gets is what stands in this
//! folder. `main.js` ties it together. `store.js`, `sse.js`, `filter.js`, `model.js`, `format.js`,
//! `clock.js` and `colours.js` decide and know no document; `connection.js` keeps the stream of events; the
//! modules in `view/` write the document, each its own part of it, and only as text.

use std::hash::{DefaultHasher, Hash, Hasher};

/// What a browser must not do on this page: run or load anything that is not one of the files here, talk
/// to another host, be put into another page, or make markup of text.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

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
    /// Its entity tag, with the quotation marks: it changes with the content, and is meant for
    /// `Cache-Control: no-cache`, so that a new program's page is never mixed with an old one's.
    #[must_use]
    pub fn etag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.body.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }
}

/// The file that is served at `path`; `/` is the page itself.
#[must_use]
pub fn asset(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// Every file of the page.
pub const ASSETS: &[Asset] = &[
    Asset { path: "/", content_type: HTML, body: include_str!("index.html") },
    Asset { path: "/style.css", content_type: CSS, body: include_str!("style.css") },
    Asset { path: "/favicon.svg", content_type: SVG, body: include_str!("favicon.svg") },
    script("/theme.js", include_str!("theme.js")),
    script("/main.js", include_str!("main.js")),
    script("/parts.js", include_str!("parts.js")),
    script("/store.js", include_str!("store.js")),
    script("/sse.js", include_str!("sse.js")),
    script("/connection.js", include_str!("connection.js")),
    script("/clock.js", include_str!("clock.js")),
    script("/filter.js", include_str!("filter.js")),
    script("/model.js", include_str!("model.js")),
    script("/format.js", include_str!("format.js")),
    script("/colours.js", include_str!("colours.js")),
    script("/view/dom.js", include_str!("view/dom.js")),
    script("/view/header.js", include_str!("view/header.js")),
    script("/view/alerts.js", include_str!("view/alerts.js")),
    script("/view/updates.js", include_str!("view/updates.js")),
    script("/view/board.js", include_str!("view/board.js")),
    script("/view/column.js", include_str!("view/column.js")),
    script("/view/tile.js", include_str!("view/tile.js")),
    script("/view/services.js", include_str!("view/services.js")),
    script("/view/redis.js", include_str!("view/redis.js")),
    script("/view/edges.js", include_str!("view/edges.js")),
    script("/view/timeline.js", include_str!("view/timeline.js")),
    script("/view/details.js", include_str!("view/details.js")),
    script("/view/controls.js", include_str!("view/controls.js")),
    script("/view/keyboard.js", include_str!("view/keyboard.js")),
    script("/view/announce.js", include_str!("view/announce.js")),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JS: &str = "text/javascript; charset=utf-8";

const fn script(path: &'static str, body: &'static str) -> Asset {
    Asset { path, content_type: JS, body }
}

#[cfg(test)]
mod tests;
