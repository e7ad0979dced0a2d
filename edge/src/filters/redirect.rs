//! Sends clients to another URL.

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::{Facts, Page, expand::expand};
use crate::config::rules::{Redirect, RedirectTo};

/// What a certificate authority asks for over HTTP (RFC 8555 section 8.3).
const ACME: &str = "/.well-known/acme-challenge/";

/// Returns the redirect of a request; `None` if the request passes.
pub(super) fn apply(redirect: &Redirect, facts: &Facts<'_>) -> Option<Page> {
    let location = match &redirect.to {
        RedirectTo::Https if facts.https || facts.path.starts_with(ACME) || facts.host.is_empty() => return None,
        RedirectTo::Https => format!("https://{}{}", facts.host_name(), origin_form(facts)),
        RedirectTo::Url(url) => expand(url, facts),
    };
    let is_safe = matches!(facts.method, "GET" | "HEAD");
    let by_method = if is_safe { StatusCode::MOVED_PERMANENTLY } else { StatusCode::PERMANENT_REDIRECT };
    // A target has no character that a field must not have; if a template made one, no URL is better than a wrong one.
    let location = HeaderValue::from_str(&location).ok()?;
    let fields = vec![(header::LOCATION, location)];
    Some(Page { label: "redirect", status: redirect.status.unwrap_or(by_method), fields, body: Bytes::new() })
}

/// Returns path and query as received; nothing of `*`. More than one slash at the start stays a path behind the host.
fn origin_form<'a>(facts: &Facts<'a>) -> &'a str {
    let target = facts.target.path_and_query;
    if target.starts_with('/') { target } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::template::Template,
        filters::facts::{Facts, testing::with},
        protocol::h1::head::Target,
    };

    fn redirected(to: &RedirectTo, change: impl FnOnce(&mut Facts<'_>)) -> Option<(u16, String)> {
        let page = with(change, |facts| apply(&Redirect { to: to.clone(), status: None }, facts))?;
        let location = page.fields[0].1.to_str().unwrap().to_owned();
        Some((page.status.as_u16(), location))
    }

    fn target(path_and_query: &str) -> Target<'_> {
        Target { authority: None, path_and_query }
    }

    #[test]
    fn to_https_keeps_host_path_and_query_but_no_port() {
        let https = RedirectTo::Https;
        let expected = (301, "https://www.example.com/a/../b?x=1".to_owned());
        assert_eq!(redirected(&https, |_| {}), Some(expected));
        assert_eq!(redirected(&https, |facts| facts.method = "POST").unwrap().0, 308);
        assert_eq!(redirected(&https, |facts| facts.host = "[::1]:80").unwrap().1, "https://[::1]/a/../b?x=1");
        assert_eq!(redirected(&https, |facts| facts.target = target("*")).unwrap().1, "https://www.example.com/");
    }

    #[test]
    fn to_https_lets_https_and_certificate_authorities_pass() {
        assert_eq!(redirected(&RedirectTo::Https, |facts| facts.https = true), None);
        assert_eq!(redirected(&RedirectTo::Https, |facts| facts.path = "/.well-known/acme-challenge/x"), None);
        assert_eq!(redirected(&RedirectTo::Https, |facts| facts.host = ""), None);
    }

    #[test]
    fn a_template_redirects_everything() {
        let apex = RedirectTo::Url(Template::parse("https://example.com{path}{query}").unwrap());
        let expected = Some((301, "https://example.com/a/../b?x=1".to_owned()));
        assert_eq!(redirected(&apex, |facts| facts.https = true), expected);
    }

    #[test]
    fn a_chosen_status_is_for_every_method() {
        let redirect = Redirect { to: RedirectTo::Https, status: Some(StatusCode::FOUND) };
        let page = with(|facts| facts.method = "POST", |facts| apply(&redirect, facts));
        assert_eq!(page.unwrap().status, StatusCode::FOUND);
    }
}
