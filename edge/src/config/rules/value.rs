//! Parses single values of rules.

use std::{ffi::OsStr, path::Path};

use http::{HeaderName, HeaderValue, StatusCode, uri::Uri};
use settings::value::Parsed;

use super::RedirectTo;
use crate::config::template::{Part, Template};

/// Fields that the edge needs to forward messages, and so writes itself.
const FIXED_FIELDS: [&str; 20] = [
    "cdn-loop",
    "connection",
    "content-length",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-real-ip",
];

/// Parses where a redirect leads.
pub(crate) fn redirect(text: &str) -> Parsed<RedirectTo> {
    if text == "https" {
        return Ok(RedirectTo::Https);
    }
    let url = Template::parse(text)?;
    let begins = match url.parts().first() {
        // What a path begins with would follow: two slashes begin the name of another host.
        Some(Part::Text(start)) if start == "/" && url.parts().len() > 1 => false,
        Some(Part::Text(start)) => ["http://", "https://", "/"].iter().any(|scheme| start.starts_with(scheme)),
        Some(Part::Variable(_)) => text.starts_with("{scheme}://"),
        None => false,
    };
    let plain: String = url.parts().iter().map(|part| if let Part::Text(text) = part { text } else { "x" }).collect();
    if begins && plain.parse::<Uri>().is_ok() {
        Ok(RedirectTo::Url(url))
    } else {
        Err(format!("{text:?} is not a URL: write \"https\", or one such as \"https://example.com{{path}}{{query}}\""))
    }
}

/// Parses the status of a redirect.
pub(crate) fn redirect_status(status: u16) -> Parsed<StatusCode> {
    match StatusCode::from_u16(status) {
        Ok(status) if [301, 302, 303, 307, 308].contains(&status.as_u16()) => Ok(status),
        _ => Err(format!("{status} does not redirect: write 301, 302, 303, 307 or 308")),
    }
}

/// Parses the status of an answer without an endpoint.
pub(crate) fn respond_status(status: u16) -> Parsed<StatusCode> {
    match StatusCode::from_u16(status) {
        Ok(code) if (200..600).contains(&status) && ![205, 304].contains(&status) => Ok(code),
        _ => Err(format!(
            "{status} is not the status of a whole response: write one from 200 to 599, except 205 and 304"
        )),
    }
}

/// The type of a text without one.
pub(crate) const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// Returns the `Content-Type` of a file by its extension.
pub(crate) fn content_type(path: &Path) -> &'static str {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        _ => TEXT_TYPE,
    }
}

/// Parses the value of a field.
pub(crate) fn field_value(text: &str) -> Parsed<HeaderValue> {
    HeaderValue::from_str(text.trim())
        .map_err(|_| format!("{text:?} has a character that no field may have: write one line of ASCII"))
}

/// Parses the name of a field that a rule may change.
pub(crate) fn changed_field(text: &str) -> Parsed<HeaderName> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| format!("{text:?} is not the name of a field: write one such as \"x-frame-options\""))?;
    if FIXED_FIELDS.contains(&name.as_str()) {
        return Err(format!("{text} cannot be changed: the edge needs it to forward messages, and writes it itself"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_to_urls() {
        assert_eq!(redirect("https"), Ok(RedirectTo::Https));
        for url in ["https://example.com{path}{query}", "{scheme}://www.{host}/", "/new{path}", "http://[::1]:80/"] {
            assert_eq!(redirect(url), Ok(RedirectTo::Url(Template::parse(url).unwrap())));
        }
        for text in ["", "example.com", "ftp://a", "https:// a", "/{path}", "{path}", "https://{hots}"] {
            assert!(redirect(text).is_err(), "{text}");
        }
    }

    #[test]
    fn statuses_fit_their_rule() {
        assert!(redirect_status(308).is_ok() && redirect_status(300).is_err() && redirect_status(200).is_err());
        assert!(respond_status(200).is_ok() && respond_status(599).is_ok());
        assert!(
            respond_status(101).is_err()
                && respond_status(304).is_err()
                && respond_status(205).is_err()
                && respond_status(600).is_err()
        );
    }

    #[test]
    fn fields_that_the_edge_writes_cannot_be_changed() {
        for name in ["x-frame-options", "Server", "cookie", "x-forwarded-ssl", "Authorization"] {
            assert!(changed_field(name).is_ok(), "{name}");
        }
        for name in ["Host", "connection", "content-length", "transfer-encoding", "x-forwarded-for", "via", "te", "a b"]
        {
            assert!(changed_field(name).is_err(), "{name}");
        }
    }
}
