//! Applies the limits on the requests of each client.

use crate::{
    error::{Error, Kind},
    protocol::headers::Client,
    proxy::{
        affinity::client_address,
        request::{RequestHead, never},
        request_record::RequestRecord,
    },
    worker::{View, Worker},
};

/// Counts a request for its client: the address of the connection, or the one that a trusted proxy names. A request of
/// a trusted proxy that names none is not limited, since it may be anybody's.
///
/// # Errors
/// [`Kind::TooManyRequests`] if the client has too many in progress, or sends them too fast.
pub(super) fn admit(
    worker: &Worker,
    view: &View,
    client: &Client,
    request: &RequestHead<'_>,
    record: &mut RequestRecord,
) -> Result<(), Error> {
    let config = view.config();
    if !config.limits.limit_requests() {
        return Ok(());
    }
    let Some(address) = client_address(client, request, config) else { return Ok(()) };
    match worker.admit_request(address, &config.limits) {
        Ok(permit) => {
            record.hold(permit);
            Ok(())
        }
        Err(reason) => {
            worker.refuse(address, reason, client.server_name.as_deref(), None);
            Err(never(Kind::TooManyRequests))
        }
    }
}
