//! The live page: its files, embedded in the program.
//!
//! There is no build step and no external resource: a browser receives the files of this folder. `main.js` ties
//! them together, and `parts.js` draws the parts of the page whose data changed. `store.js`, `sse.js`, `filter.js`,
//! `model.js`, `causes.js`, `groups.js`, `format.js`, `clock.js` and `colours.js` are logic without a document;
//! `connection.js` maintains the event stream. Each module in `view/` writes its own part of the document, and only as
//! text. The style sheet is one file for browsers, joined from the parts in `style/`.

use std::hash::{DefaultHasher, Hash, Hasher};

/// Forbids loading or running anything but the files here, connecting to other hosts, embedding in another page,
/// and turning text into markup.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// One file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asset {
    /// Path, with a leading slash.
    pub path: &'static str,
    /// Media type.
    pub content_type: &'static str,
    /// Content.
    pub body: &'static str,
}

impl Asset {
    /// Returns the entity tag, with quotation marks. It changes with the content, and is used with
    /// `Cache-Control: no-cache`, so that files of different versions of the program are never mixed.
    #[must_use]
    pub fn etag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.body.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }
}

/// Returns the file served at `path`; `/` is the page itself.
#[must_use]
pub fn asset(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// Every file of the page.
pub const ASSETS: &[Asset] = &[
    Asset { path: "/", content_type: HTML, body: include_str!("index.html") },
    Asset { path: "/style.css", content_type: CSS, body: STYLE },
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
    script("/causes.js", include_str!("causes.js")),
    script("/groups.js", include_str!("groups.js")),
    script("/view/dom.js", include_str!("view/dom.js")),
    script("/view/header.js", include_str!("view/header.js")),
    script("/view/alerts.js", include_str!("view/alerts.js")),
    script("/view/updates.js", include_str!("view/updates.js")),
    script("/view/board.js", include_str!("view/board.js")),
    script("/view/column.js", include_str!("view/column.js")),
    script("/view/tile.js", include_str!("view/tile.js")),
    script("/view/nothing.js", include_str!("view/nothing.js")),
    script("/view/services.js", include_str!("view/services.js")),
    script("/view/redis.js", include_str!("view/redis.js")),
    script("/view/edges.js", include_str!("view/edges.js")),
    script("/view/timeline.js", include_str!("view/timeline.js")),
    script("/view/details.js", include_str!("view/details.js")),
    script("/view/controls.js", include_str!("view/controls.js")),
    script("/view/keyboard.js", include_str!("view/keyboard.js")),
    script("/view/layout.js", include_str!("view/layout.js")),
    script("/view/announce.js", include_str!("view/announce.js")),
];

/// The style sheet. A later part may override an earlier one.
const STYLE: &str = concat!(
    include_str!("style/base.css"),
    include_str!("style/icons.css"),
    include_str!("style/top.css"),
    include_str!("style/alerts.css"),
    include_str!("style/overview.css"),
    include_str!("style/filters.css"),
    include_str!("style/board.css"),
    include_str!("style/dense.css"),
    include_str!("style/rail.css"),
    include_str!("style/details.css"),
    include_str!("style/phone.css"),
    include_str!("style/motion.css"),
);

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JS: &str = "text/javascript; charset=utf-8";

const fn script(path: &'static str, body: &'static str) -> Asset {
    Asset { path, content_type: JS, body }
}

#[cfg(test)]
mod tests;
