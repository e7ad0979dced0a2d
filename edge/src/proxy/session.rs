//! The cookie that ties a client to an endpoint: when a response sets it, and its text.

use std::fmt::Write;

use crate::{
    config::{SameSite, Sticky},
    proxy::retry_state::RetryState,
    upstream::{Endpoint, sticky::Tag},
    worker::PoolView,
};

/// Returns the value of `Set-Cookie` for the response of `endpoint`; `None` if the pool sets no cookie or the request
/// has the right one. A client whose endpoint is merely full keeps its cookie, and one whose endpoint has failed its
/// request gets a new one.
pub(super) fn set_cookie(pool: &PoolView, endpoint: &Endpoint, retry_state: &RetryState) -> Option<String> {
    let sticky = pool.handle.config.sticky.as_ref()?;
    let affinity = &retry_state.affinity;
    let snapshot = pool.handle.snapshot.load();
    let current = affinity.session.and_then(|tag| snapshot.sessions.endpoint(tag));
    if current.is_some_and(|current| current.id == endpoint.id || !retry_state.endpoints.contains(&current.id)) {
        return None;
    }
    let tag = pool.handle.tags.as_ref()?.of(endpoint.address);
    Some(text(sticky, tag, affinity.https))
}

/// Formats the cookie (RFC 6265 section 4.1). Without `Max-Age` it ends with the browser.
fn text(sticky: &Sticky, tag: Tag, https: bool) -> String {
    let Sticky { cookie, path, same_site, secure, http_only, max_age, .. } = sticky;
    let mut text = format!("{cookie}={tag}; Path={path}");
    if let Some(age) = max_age {
        // Writing to a `String` cannot fail.
        write!(text, "; Max-Age={}", age.as_secs()).ok();
    }
    if *http_only {
        text.push_str("; HttpOnly");
    }
    // Browsers reject the cookie otherwise.
    if secure.unwrap_or(https || *same_site == SameSite::None) {
        text.push_str("; Secure");
    }
    text.push_str(match same_site {
        SameSite::Lax => "; SameSite=Lax",
        SameSite::Strict => "; SameSite=Strict",
        SameSite::None => "; SameSite=None",
    });
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_cookie_has_the_attributes_that_are_configured() {
        let tag = Tag::parse(b"0123456789abcdef01234567").unwrap();
        let default = Sticky::new("web");
        let other = Sticky {
            cookie: "server".to_owned(),
            path: "/app".to_owned(),
            same_site: SameSite::None,
            http_only: false,
            max_age: Some(Duration::from_secs(3600)),
            ..default.clone()
        };
        let never_secure = Sticky { secure: Some(false), same_site: SameSite::Strict, ..default.clone() };
        for (sticky, https, expected) in [
            (&default, false, "edge_web=TAG; Path=/; HttpOnly; SameSite=Lax"),
            (&default, true, "edge_web=TAG; Path=/; HttpOnly; Secure; SameSite=Lax"),
            (&other, false, "server=TAG; Path=/app; Max-Age=3600; Secure; SameSite=None"),
            (&never_secure, true, "edge_web=TAG; Path=/; HttpOnly; SameSite=Strict"),
        ] {
            assert_eq!(text(sticky, tag, https), expected.replace("TAG", &tag.to_string()));
        }
    }
}
