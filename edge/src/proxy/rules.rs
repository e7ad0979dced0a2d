//! Applies the rules of a route to a request.

use std::rc::Rc;

use crate::{
    config::rules::Rules,
    filters::{self, Facts, Verdict},
    protocol::headers::Client,
    proxy::{
        affinity::{client_address, is_https},
        request::RequestHead,
        request_record::RequestRecord,
    },
    route::Asked,
    worker::View,
};

/// Applies the rules of the route that was found for a request by its normalized `path`. Records the changes of the
/// response, whoever answers.
pub(super) fn apply(
    rules: &Rules,
    view: &View,
    client: &Client,
    request: &RequestHead<'_>,
    asked: &Asked<'_>,
    path: &str,
    record: &mut RequestRecord,
) -> Verdict {
    let facts = Facts {
        client,
        address: client_address(client, request, view.config()),
        https: is_https(client, request),
        method: request.method,
        host: asked.host,
        target: request.target,
        path,
        fields: request.fields,
        request_id: "",
    };
    let edits = filters::response(rules, &facts);
    if !edits.is_empty() {
        record.set_edits(Rc::new(edits));
    }
    filters::request(rules, view.files(), &facts)
}
