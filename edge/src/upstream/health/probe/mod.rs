//! One active health check of one endpoint.
//!
//! Each check opens a connection of its own. A kept connection would show how the endpoint treats old connections, not
//! whether it accepts new ones; behind a routing mesh, it would check the same task forever. The connection is closed
//! with a reset (`SO_LINGER` 0), as HAProxy does. Otherwise checks would leave thousands of sockets in TIME_WAIT on
//! this host; and a mesh that tracks connections removes a reset one from its table at once.
//!
//! The check only connects, or sends an HTTP request (`http1`) or a call of the gRPC health protocol (`grpc`), each over
//! TLS if it is configured (`tls`). `outcome` has the words for what it finds.

mod answer;
mod grpc;
mod http1;
mod outcome;
mod search;
mod tls;

use std::{cell::Cell, io, net::SocketAddr};

use net::client;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use self::outcome::Step;
pub use self::{
    answer::Answer,
    outcome::{Failure, Outcome, Passed},
    tls::{Tls, authorities},
};
pub(in crate::upstream) use self::{
    http1::{is_expected, request},
    search::{MAX_BODY, Search},
};
use crate::{config::HealthCheck, upstream::shortage::shortage};

/// Checks the endpoint at `address` once, within the timeout of the check. `source` is the value of `Host` unless the
/// configuration sets one; the port is that of `address` unless the configuration sets one. `tls` makes the handshake of
/// a check with TLS.
///
/// # Errors
/// Why the check failed.
pub async fn probe(check: &HealthCheck, tls: Option<&Tls>, address: SocketAddr, source: &str) -> Outcome {
    let mut address = address;
    if let Some(port) = check.port {
        // Everything else of it stays, the scope of a link-local address among it.
        address.set_port(port);
    }
    let authority = check.host.as_deref().unwrap_or(source);
    let step = Cell::new(Step::Connect);
    let attempt = async {
        let stream = connect(address).await.map_err(|error| match shortage(&error, address) {
            None => Failure::Connect(error),
            Some(_) => Failure::NoResources(error),
        })?;
        match tls {
            None => ask(stream, check, authority, &step).await,
            Some(tls) => {
                step.set(Step::Handshake);
                let stream = tls.connect(stream, authority).await?;
                match ask(stream, check, authority, &step).await? {
                    Passed::Connected => Ok(Passed::Handshake),
                    passed => Ok(passed),
                }
            }
        }
    };
    let outcome = timeout(check.timeout, attempt).await;
    outcome.unwrap_or_else(|_elapsed| Err(step.get().timed_out(check.timeout, check.body.as_deref())))
}

/// Sends on a new connection what the check sends.
async fn ask<S>(stream: S, check: &HealthCheck, authority: &str, step: &Cell<Step>) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    step.set(Step::Answer);
    if let Some(service) = &check.grpc {
        let request = grpc::request(check, authority)?;
        return grpc::evaluate(grpc::ask(stream, request, service).await?, &check.expect);
    }
    match request(check, authority)? {
        None => Ok(Passed::Connected),
        Some(request) => http1::ask(stream, request, check, step).await,
    }
}

/// Connects for one request. Closing the connection resets it.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = client::connect(address).await?;
    stream.set_zero_linger()?;
    Ok(stream)
}
