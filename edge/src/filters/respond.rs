//! Answers without an endpoint.

use http::{HeaderValue, StatusCode, header};

use super::Page;
use crate::config::rules::Respond;

/// Returns the answer.
pub(super) fn apply(respond: &Respond) -> Page {
    let mut fields = vec![(header::CONTENT_TYPE, respond.content_type.clone())];
    if respond.status == StatusCode::SERVICE_UNAVAILABLE {
        fields.push((header::RETRY_AFTER, HeaderValue::from_static("60")));
    }
    Page { label: "respond", status: respond.status, fields, body: respond.body.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_for_maintenance_says_when_to_ask_again() {
        let content_type = HeaderValue::from_static("text/html");
        let respond = Respond { status: StatusCode::SERVICE_UNAVAILABLE, body: "soon".into(), content_type };
        let page = apply(&respond);
        assert_eq!((page.status.as_u16(), &page.body[..]), (503, &b"soon"[..]));
        let names: Vec<_> = page.fields.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(names, [("content-type", "text/html"), ("retry-after", "60")]);
        let robots = apply(&Respond { status: StatusCode::OK, ..respond });
        assert_eq!(robots.fields.len(), 1);
    }
}
