//! WebSocket and other upgrades: bytes in both directions after the endpoint's 101 (RFC 9110 section 7.8).

use std::{future::Future, io, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep_until},
};

use crate::{
    error::Kind,
    proxy::request_record::RequestRecord,
    upstream::connection::{ConnectionPermit, InFlight},
    worker::client_activity::ClientActivity,
};

/// A client connection after 101.
#[derive(Debug)]
pub struct Upgraded {
    /// The endpoint's side.
    pub upstream: TunnelUpstream,
    /// The request that asked for the upgrade; it ends with the tunnel.
    pub record: RequestRecord,
}

/// The endpoint's side of a tunnel.
#[derive(Debug)]
pub struct TunnelUpstream {
    /// To the endpoint.
    pub stream: TcpStream,
    /// Bytes that the endpoint sent behind its 101.
    pub ahead: Bytes,
    /// Counts against the endpoint's connections while the tunnel lasts.
    pub permit: ConnectionPermit,
    /// The longest silence in both directions.
    pub idle: Duration,
    /// Counts as a request in flight, for `least_requests`.
    pub in_flight: InFlight,
}

/// The memory that copying takes, in bytes: a buffer of tokio's for each direction.
const COPYING: usize = 2 * 8 * 1024;

/// Passes bytes in both directions until both sides have finished, one breaks off, no byte moves for too long, or `shed`
/// resolves.
///
/// # Errors
/// The error that ended the tunnel early; `TimedOut` for silence, `OutOfMemory` for `shed`.
pub async fn tunnel<S>(
    mut client: S,
    ahead: Bytes,
    upgraded: Upgraded,
    activity: &ClientActivity,
    shed: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Upgraded { mut upstream, mut record } = upgraded;
    activity.hold(COPYING);
    let before = activity.written();
    let copying = async {
        client.write_all(&std::mem::take(&mut upstream.ahead)).await?;
        upstream.stream.write_all(&ahead).await?;
        drop(ahead);
        tokio::io::copy_bidirectional(&mut client, &mut upstream.stream).await
    };
    // Bytes in either direction pass the client's stream, so watching that one is enough.
    let silence = async {
        loop {
            let due = activity.last_moved() + upstream.idle;
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    };
    let outcome = tokio::select! {
        copied = copying => copied.map(|_counts| ()),
        () = silence => {
            record.fail(Kind::TunnelTimeout);
            Err(io::ErrorKind::TimedOut.into())
        }
        () = shed => Err(io::ErrorKind::OutOfMemory.into()),
    };
    record.add_response_bytes(activity.written() - before);
    outcome
}
