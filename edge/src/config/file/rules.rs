//! The rules of a route.

use std::{path::Path, sync::Arc};

use http::{HeaderName, HeaderValue, StatusCode};
use settings::{Section, into_values};

use super::kind;
use crate::config::{
    rules::{Body, FieldRules, Redirect, RedirectTo, Respond, Rules, value},
    template::Template,
};

/// Reads the rules of a route; `None` if it has none.
pub(super) fn rules(section: &mut Section<'_>, folder: &Path) -> Option<Arc<Rules>> {
    let rules = Rules {
        redirect: redirect(section),
        respond: section.optional("respond", |section| respond(section, folder)),
        request_fields: fields(section, "request_headers"),
        response_fields: fields(section, "response_headers"),
    };
    if rules.respond.is_some() && matches!(&rules.redirect, Some(Redirect { to: RedirectTo::Url(_), .. })) {
        section.problem("respond", "has no effect beside redirect, which answers every request: remove one of the two");
    }
    (rules != Rules::default()).then(|| Arc::new(rules))
}

fn redirect(section: &mut Section<'_>) -> Option<Redirect> {
    let to = section.get("redirect", &kind::REDIRECT);
    let status = section.get("redirect_status", &kind::REDIRECT_STATUS);
    if status.is_some() && !section.has("redirect") {
        section.problem("redirect_status", "has no effect without redirect: add redirect = \"https\"");
    }
    Some(Redirect { to: to?, status })
}

fn respond(section: &mut Section<'_>, folder: &Path) -> Respond {
    let status = section.get("status", &kind::RESPOND_STATUS).unwrap_or(StatusCode::OK);
    let text = section.get("body", &kind::TEXT);
    let file = section.get("file", &kind::FILE).map(|file| folder.join(file));
    let content_type = section.get("type", &kind::FIELD_VALUE);
    if text.is_some() && file.is_some() {
        section.problem("file", "is a second body: remove body or file");
    }
    let default = file.as_deref().map_or(value::TEXT_TYPE, value::content_type);
    Respond {
        status,
        body: file.map_or_else(|| Body::Text(text.unwrap_or_default().into()), Body::File),
        content_type: content_type.unwrap_or(HeaderValue::from_static(default)),
    }
}

/// Reads the changes of header fields.
fn fields(section: &mut Section<'_>, key: &'static str) -> FieldRules {
    section.table(key, |section| FieldRules {
        remove: section.list("remove", &kind::CHANGED_FIELD).map(into_values).unwrap_or_default(),
        set: templates(section, "set"),
        add: templates(section, "add"),
    })
}

fn templates(section: &mut Section<'_>, key: &'static str) -> Vec<(HeaderName, Template)> {
    let mut templates: Vec<(HeaderName, Template)> = Vec::new();
    for (name, text) in section.texts(key) {
        let path = format!("{key}.{}", name.get_ref());
        match value::changed_field(name.get_ref()) {
            Err(message) => section.problem_at(&name.span(), &path, message),
            Ok(field) if templates.iter().any(|(other, _)| *other == field) => {
                section.problem_at(&name.span(), &path, "is given twice: remove one of them");
            }
            Ok(field) => match value::field_value(text.get_ref()).and_then(|_| Template::parse(text.get_ref())) {
                Ok(template) => templates.push((field, template)),
                Err(message) => section.problem_at(&text.span(), &path, message),
            },
        }
    }
    templates
}
