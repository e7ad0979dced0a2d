//! Applies the rules of a route to the heads of its requests and responses. Pure: facts about a request go in, and what
//! to do comes out.
//!
//! The order is fixed: a redirect, then the edge's own answer, then the changes of fields. Nothing here runs for a
//! route without rules.

mod expand;
mod facts;
mod fields;
mod files;
mod page;
mod redirect;
mod respond;

pub use self::{facts::Facts, fields::edits, files::RuleFiles, page::Page};
use crate::{config::rules::Rules, protocol::headers::edits::FieldEdits};

/// What the rules of a route make of a request.
#[derive(Debug)]
pub enum Verdict {
    /// The edge answers it.
    Answer(Page),
    /// It is sent to an endpoint.
    Forward(RequestEdits),
}

/// How a request changes on its way to the endpoint.
#[derive(Debug, Default)]
pub struct RequestEdits {
    /// Its fields.
    pub fields: FieldEdits,
}

/// Applies the rules to a request.
#[must_use]
pub fn request(rules: &Rules, files: &RuleFiles, facts: &Facts<'_>) -> Verdict {
    if let Some(redirect) = &rules.redirect
        && let Some(page) = redirect::apply(redirect, facts)
    {
        return Verdict::Answer(page);
    }
    if let Some(respond) = &rules.respond {
        return Verdict::Answer(respond::apply(respond, files));
    }
    Verdict::Forward(RequestEdits { fields: edits(&rules.request_fields, facts) })
}

/// Returns the changes of the response to a request, whoever answers it.
#[must_use]
pub fn response(rules: &Rules, facts: &Facts<'_>) -> FieldEdits {
    edits(&rules.response_fields, facts)
}
