//! Writes a template for a request.

use std::fmt::Write;

use super::Facts;
use crate::config::template::{Part, Template, Variable};

/// Returns the text of a template for a request.
pub(super) fn expand(template: &Template, facts: &Facts<'_>) -> String {
    let mut text = String::new();
    for part in template.parts() {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Variable(variable) => write_variable(&mut text, *variable, facts),
        }
    }
    text
}

fn write_variable(text: &mut String, variable: Variable, facts: &Facts<'_>) {
    match variable {
        Variable::Client => {
            if let Some(address) = facts.address {
                // Writing to a `String` cannot fail.
                write!(text, "{address}").ok();
            }
        }
        Variable::Host => text.push_str(facts.host_name()),
        Variable::Method => text.push_str(facts.method),
        // `*` of `OPTIONS *` is no path.
        Variable::Path if facts.target.path() == "*" => text.push('/'),
        Variable::Path => text.push_str(facts.target.path()),
        Variable::Query => text.push_str(facts.query()),
        Variable::Scheme => text.push_str(if facts.https { "https" } else { "http" }),
        Variable::RequestId => text.push_str(facts.request_id),
        Variable::TlsName => text.push_str(facts.client.server_name.as_deref().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::facts::testing::with;

    #[test]
    fn variables_stand_for_the_request() {
        let template = Template::parse("{method} {scheme}://{host}{path}{query} {client} [{tls.name}{request_id}]");
        let text = with(|_| {}, |facts| expand(&template.unwrap(), facts));
        assert_eq!(text, "GET http://www.example.com/a/../b?x=1 192.0.2.7 []");
    }
}
