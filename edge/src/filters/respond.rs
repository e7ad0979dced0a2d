//! Answers without an endpoint.

use http::{HeaderValue, StatusCode, header};

use super::{Page, RuleFiles};
use crate::config::rules::{Body, Respond};

/// Returns the answer.
pub(super) fn apply(respond: &Respond, files: &RuleFiles) -> Page {
    let mut fields = vec![(header::CONTENT_TYPE, respond.content_type.clone())];
    if respond.status == StatusCode::SERVICE_UNAVAILABLE {
        fields.push((header::RETRY_AFTER, HeaderValue::from_static("60")));
    }
    let body = match &respond.body {
        Body::Text(text) => text.clone(),
        Body::File(path) => files.page(path),
    };
    Page { label: "respond", status: respond.status, fields, body }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_page_for_maintenance_says_when_to_ask_again() {
        let content_type = HeaderValue::from_static("text/html");
        let respond =
            Respond { status: StatusCode::SERVICE_UNAVAILABLE, body: Body::Text("soon".into()), content_type };
        let page = apply(&respond, &RuleFiles::default());
        assert_eq!((page.status.as_u16(), &page.body[..]), (503, &b"soon"[..]));
        let names: Vec<_> = page.fields.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(names, [("content-type", "text/html"), ("retry-after", "60")]);
        let robots = apply(&Respond { status: StatusCode::OK, ..respond }, &RuleFiles::default());
        assert_eq!(robots.fields.len(), 1);
    }

    #[test]
    fn a_body_may_be_in_a_file() {
        let path = PathBuf::from("/etc/edge/soon.html");
        let files = RuleFiles { pages: [(path.clone(), Bytes::from_static(b"later"))].into() };
        let content_type = HeaderValue::from_static("text/html");
        let respond = Respond { status: StatusCode::OK, body: Body::File(path), content_type };
        assert_eq!(apply(&respond, &files).body, "later");
    }
}
