//! Renders the rules of a route.

use http::HeaderName;

use super::document::{Document, list, path, string};
use crate::config::{
    rules::{Body, FieldRules, Redirect, RedirectTo, Respond, Rules},
    template::Template,
};

/// Writes the rules of a route, first its keys and then its sections.
pub(super) fn render_rules(document: &mut Document, rules: &Rules) {
    let Rules { redirect, respond, request_fields, response_fields } = rules;
    if let Some(Redirect { to, status }) = redirect {
        let to = match to {
            RedirectTo::Https => "https".to_owned(),
            RedirectTo::Url(url) => url.to_string(),
        };
        document.key("redirect", string(&to));
        if let Some(status) = status {
            document.key("redirect_status", status.as_u16());
        }
    }
    if let Some(Respond { status, body, content_type }) = respond {
        document.heading("[route.respond]");
        document.key("status", status.as_u16());
        match body {
            Body::Text(text) => document.key("body", string(&String::from_utf8_lossy(text))),
            Body::File(file) => document.key("file", path(file)),
        }
        document.key("type", string(&String::from_utf8_lossy(content_type.as_bytes())));
    }
    fields(document, "request_headers", request_fields);
    fields(document, "response_headers", response_fields);
}

fn fields(document: &mut Document, key: &str, rules: &FieldRules) {
    if rules.is_empty() {
        return;
    }
    document.heading(&format!("[route.{key}]"));
    if !rules.remove.is_empty() {
        document.key("remove", list(&rules.remove, |name| string(name.as_str())));
    }
    templates(document, "set", &rules.set);
    templates(document, "add", &rules.add);
}

fn templates(document: &mut Document, key: &str, templates: &[(HeaderName, Template)]) {
    if templates.is_empty() {
        return;
    }
    let pair = |(name, template): &(HeaderName, Template)| {
        format!("{} = {}", string(name.as_str()), string(&template.to_string()))
    };
    let pairs: Vec<_> = templates.iter().map(pair).collect();
    document.key(key, format_args!("{{ {} }}", pairs.join(", ")));
}
