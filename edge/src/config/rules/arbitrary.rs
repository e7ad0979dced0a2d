//! Random rules for property tests.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, StatusCode};
use proptest::{collection::vec, option, prelude::*};

use super::{Body, FieldRules, Redirect, RedirectTo, Respond, Rules};
use crate::config::template::Template;

/// Rules as the file can state them: without any, a route has none.
pub(crate) fn rules() -> impl Strategy<Value = Option<Arc<Rules>>> {
    let answer = prop_oneof![
        Just((None, None)),
        redirect().prop_map(|redirect| (Some(redirect), None)),
        respond().prop_map(|respond| (None, Some(respond))),
    ];
    (answer, fields(), fields()).prop_map(|((redirect, respond), request_fields, response_fields)| {
        let rules = Rules { redirect, respond, request_fields, response_fields };
        (rules != Rules::default()).then(|| Arc::new(rules))
    })
}

pub(super) fn template() -> impl Strategy<Value = Template> {
    let part = prop_oneof!["[a-z \"'=;]{1,5}", Just("{host}".to_owned()), Just("{{".to_owned())];
    vec(part, 1..4).prop_map(|parts| Template::parse(parts.concat().trim()).unwrap())
}

fn redirect() -> impl Strategy<Value = Redirect> {
    let url = "https://[a-z]{1,5}(\\{path\\})?(\\{query\\})?";
    let to = prop_oneof![Just(RedirectTo::Https), url.prop_map(|url| RedirectTo::Url(Template::parse(&url).unwrap())),];
    let status = prop_oneof![Just(StatusCode::FOUND), Just(StatusCode::SEE_OTHER)];
    (to, option::of(status)).prop_map(|(to, status)| Redirect { to, status })
}

fn respond() -> impl Strategy<Value = Respond> {
    let status =
        prop_oneof![200_u16..205, 206_u16..304, 305_u16..600].prop_map(|status| StatusCode::from_u16(status).unwrap());
    let body = prop_oneof![
        "\\PC{0,9}".prop_map(|text| Body::Text(text.into())),
        "/[a-z]{1,5}\\.html".prop_map(|file| Body::File(file.into())),
    ];
    (status, body, "[a-z]{1,5}/[a-z]{1,5}").prop_map(|(status, body, content_type)| Respond {
        status,
        body,
        content_type: HeaderValue::from_str(&content_type).unwrap(),
    })
}

fn fields() -> impl Strategy<Value = FieldRules> {
    let name = || "x-[a-z]{1,5}".prop_map(|name| name.parse::<HeaderName>().unwrap());
    let pairs = move || {
        vec((name(), template()), 0..3).prop_map(|mut pairs| {
            pairs.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
            pairs.dedup_by(|(one, _), (other, _)| one == other);
            pairs
        })
    };
    (vec(name(), 0..3), pairs(), pairs()).prop_map(|(remove, set, add)| FieldRules { remove, set, add })
}
