//! The path below which a proxy serves the page, if the proxy does not remove it.

use http::{HeaderValue, StatusCode, header};

use super::response::{Response, text};

/// A path such as `/ops/watch`, or none. Requests without it are answered as well: probes, edges and other instances do
/// not come through the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath {
    /// Without a slash at its end.
    path: String,
}

impl BasePath {
    /// Parses a path that begins with a slash. One at its end does not matter.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let is_segment = |segment: &str| {
            let is_plain = segment.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c));
            is_plain && !segment.is_empty() && segment != "." && segment != ".."
        };
        let is_path = text.starts_with('/') && path.split('/').skip(1).all(is_segment);
        is_path.then(|| Self { path: path.to_owned() })
    }

    /// Returns a path without this one in front. It is empty for this path without a slash at its end, from which the
    /// relative addresses of the page would lead elsewhere.
    pub(super) fn strip<'a>(&self, path: &'a str) -> &'a str {
        match path.strip_prefix(&self.path) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            _ => path,
        }
    }

    /// Returns the redirection to the page.
    pub(super) fn redirection(&self) -> Response {
        let mut response =
            text(StatusCode::PERMANENT_REDIRECT, "the page is at the same path with a slash at its end\n");
        // Every character that `parse` accepts is valid.
        if let Ok(location) = HeaderValue::try_from(format!("{}/", self.path)) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_absolute_path_is_accepted() {
        for (text, path) in [("/watch", "/watch"), ("/ops/watch/", "/ops/watch"), ("/", "")] {
            assert_eq!(BasePath::parse(text), Some(BasePath { path: path.to_owned() }), "{text}");
        }
        for text in
            ["", "watch", "//", "//evil.example", "/a//b", "/../a", "/a/.", "/a b", "/a?b", "/%2e", "/\u{e9}", "/a\n"]
        {
            assert_eq!(BasePath::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_whole_path_is_removed() {
        let base = BasePath::parse("/watch").unwrap();
        for (path, rest) in [
            ("/watch/", "/"),
            ("/watch/api/swarm", "/api/swarm"),
            ("/watch", ""),
            ("/watchman", "/watchman"),
            ("/api/swarm", "/api/swarm"),
            ("/watch/watch/", "/watch/"),
        ] {
            assert_eq!(base.strip(path), rest, "{path}");
        }
        assert_eq!(BasePath::default().strip("/api"), "/api");
        assert_eq!(base.redirection().headers()[header::LOCATION], "/watch/");
    }
}
