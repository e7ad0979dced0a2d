//! Changes header fields.

use http::{HeaderName, HeaderValue};

use super::{Facts, expand::expand};
use crate::{
    config::{rules::FieldRules, template::Template},
    protocol::headers::edits::FieldEdits,
};

/// Returns the changes for a request. A value that the request makes empty or invalid is not written.
#[must_use]
pub fn edits(rules: &FieldRules, facts: &Facts<'_>) -> FieldEdits {
    let mut edits = FieldEdits { remove: rules.remove.clone(), add: Vec::new() };
    for (name, template) in &rules.set {
        edits.remove.push(name.clone());
        edits.add.extend(field(name, template, facts));
    }
    for (name, template) in &rules.add {
        edits.add.extend(field(name, template, facts));
    }
    edits
}

fn field(name: &HeaderName, template: &Template, facts: &Facts<'_>) -> Option<(HeaderName, HeaderValue)> {
    let text = expand(template, facts);
    let value = HeaderValue::from_str(text.trim()).ok().filter(|value| !value.is_empty())?;
    Some((name.clone(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::facts::testing::with;

    fn pair(name: &'static str, template: &str) -> (HeaderName, Template) {
        (HeaderName::from_static(name), Template::parse(template).unwrap())
    }

    #[test]
    fn fields_are_removed_set_and_added() {
        let rules = FieldRules {
            remove: vec![HeaderName::from_static("x-gone")],
            set: vec![pair("x-client", "{client}"), pair("x-empty", "{request_id}")],
            add: vec![pair("x-more", "{host}")],
        };
        let edits = with(|_| {}, |facts| edits(&rules, facts));
        assert!(["x-gone", "X-Client", "x-empty"].iter().all(|name| edits.removes(name)));
        assert!(!edits.removes("x-more"));
        let added: Vec<_> = edits.add.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(added, [("x-client", "192.0.2.7"), ("x-more", "www.example.com")]);
    }
}
