//! What a route does with its requests beside sending them to a pool. Each rule has a file with its settings here, and
//! one in [`crate::filters`] that applies it.

#[cfg(test)]
pub(crate) mod arbitrary;
mod fields;
mod redirect;
mod respond;
pub(crate) mod value;

use std::path::Path;

pub use self::{
    fields::FieldRules,
    redirect::{Redirect, RedirectTo},
    respond::{Body, Respond},
};

/// The rules of a route, in the order in which they are applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Sends the client to another URL.
    pub redirect: Option<Redirect>,
    /// Answers without an endpoint.
    pub respond: Option<Respond>,
    /// Changes the fields of the request for the endpoint.
    pub request_fields: FieldRules,
    /// Changes the fields of the response for the client, also of the edge's own responses.
    pub response_fields: FieldRules,
}

impl Rules {
    /// The names of the rules that it has, in the order in which they are applied.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let Self { redirect, respond, request_fields, response_fields } = self;
        let has = [
            (redirect.is_some(), "redirect"),
            (respond.is_some(), "respond"),
            (!request_fields.is_empty(), "request_headers"),
            (!response_fields.is_empty(), "response_headers"),
        ];
        has.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect()
    }

    /// The files with bodies of responses.
    pub fn pages(&self) -> impl Iterator<Item = &Path> {
        self.respond.iter().filter_map(|respond| match &respond.body {
            Body::File(path) => Some(path.as_path()),
            Body::Text(_) => None,
        })
    }

    /// Whether every request gets its answer here, so that the route needs no pool.
    #[must_use]
    pub fn answer_everything(&self) -> bool {
        self.respond.is_some() || matches!(&self.redirect, Some(Redirect { to: RedirectTo::Url(_), .. }))
    }
}
