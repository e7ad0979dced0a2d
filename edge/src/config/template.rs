//! Texts with variables, such as `https://example.com{path}{query}`.

use std::fmt;

/// What a variable stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variable {
    /// The address of the client, or the one that a trusted proxy names.
    Client,
    /// The host of the request without the port.
    Host,
    /// The method.
    Method,
    /// The path as received.
    Path,
    /// The query with its question mark; nothing without a query.
    Query,
    /// `http` or `https`, as the client uses it.
    Scheme,
    /// The identifier of the request; nothing unless the route has `request_id`.
    RequestId,
    /// The server name of the TLS handshake; nothing without TLS.
    TlsName,
}

impl Variable {
    /// Every variable with its name.
    pub const ALL: [(&'static str, Self); 8] = [
        ("client", Self::Client),
        ("host", Self::Host),
        ("method", Self::Method),
        ("path", Self::Path),
        ("query", Self::Query),
        ("request_id", Self::RequestId),
        ("scheme", Self::Scheme),
        ("tls.name", Self::TlsName),
    ];
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Written as it is.
    Text(String),
    /// Written as what it stands for.
    Variable(Variable),
}

/// A text with variables in braces. `{{` and `}}` stand for braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// What is wrong with the text, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(brace);
            plain.push_str(before);
            if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
                plain.push_str(&from[..1]);
                rest = after;
                continue;
            }
            let (name, after) = from
                .strip_prefix('{')
                .and_then(|from| from.split_once('}'))
                .ok_or_else(|| format!("{text:?} has a single brace: write {{{{ or }}}} for a brace in the text"))?;
            let variable = Variable::ALL.iter().find(|(known, _)| *known == name).map(|(_, variable)| *variable);
            let variable = variable.ok_or_else(|| unknown(name))?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Variable(variable));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// The pieces in their order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

fn unknown(name: &str) -> String {
    let names = || Variable::ALL.iter().map(|(known, _)| *known);
    match settings::nearest(name, names()) {
        Some(meant) => format!("there is no variable {{{name}}}; did you mean {{{meant}}}?"),
        None => {
            let known = names().map(|known| format!("{{{known}}}")).collect::<Vec<_>>().join(", ");
            format!("there is no variable {{{name}}}; known variables: {known}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_variables_alternate() {
        let template = Template::parse("https://{host}{path}?from={client}").unwrap();
        let expected = [
            Part::Text("https://".to_owned()),
            Part::Variable(Variable::Host),
            Part::Variable(Variable::Path),
            Part::Text("?from=".to_owned()),
            Part::Variable(Variable::Client),
        ];
        assert_eq!(template.parts(), expected);
        assert_eq!(template.to_string(), "https://{host}{path}?from={client}");
    }

    #[test]
    fn doubled_braces_are_braces() {
        assert_eq!(Template::parse("{{\"a\":1}}").unwrap().parts(), [Part::Text("{\"a\":1}".to_owned())]);
        assert_eq!(Template::parse("").unwrap().parts(), []);
    }

    #[test]
    fn mistakes_are_named_with_what_to_write() {
        for (text, expected) in [
            ("{hots}", "there is no variable {hots}; did you mean {host}?"),
            ("a{", "\"a{\" has a single brace: write {{ or }} for a brace in the text"),
            ("a}b", "\"a}b\" has a single brace: write {{ or }} for a brace in the text"),
            ("{host", "\"{host\" has a single brace: write {{ or }} for a brace in the text"),
        ] {
            assert_eq!(Template::parse(text).unwrap_err(), expected);
        }
        assert!(Template::parse("{}").unwrap_err().contains("known variables: {client}, {host}"));
    }
}
