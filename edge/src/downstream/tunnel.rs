//! WebSocket and other upgrades: bytes both ways, once the endpoint has said 101 (RFC 9110 section 7.8).

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep_until},
};

use crate::{
    io::buffer::Buffer,
    proxy::request_record::RequestRecord,
    upstream::connection::{ConnectionPermit, InFlight},
    worker::client_activity::ClientActivity,
};

/// What a client connection becomes after 101.
#[derive(Debug)]
pub struct Upgraded {
    /// The endpoint's end.
    pub far: Far,
    /// The request that asked for it ends with it.
    pub record: RequestRecord,
}

/// The endpoint's end of an upgraded connection.
#[derive(Debug)]
pub struct Far {
    /// To the endpoint.
    pub stream: TcpStream,
    /// What the endpoint sent behind its 101.
    pub ahead: Buffer,
    /// Counts against the endpoint's connections while it lasts.
    pub permit: ConnectionPermit,
    /// Silence in both directions that ends it.
    pub idle: Duration,
    /// Counts as a request under way, which `least_requests` goes by.
    pub in_flight: InFlight,
}

/// Passes bytes both ways until both sides have finished, one breaks off, or nothing moves for too long.
///
/// # Errors
/// Whatever ended it early; `TimedOut` for silence.
pub async fn tunnel<S>(mut client: S, ahead: &[u8], upgraded: Upgraded, activity: &ClientActivity) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Upgraded { mut far, mut record } = upgraded;
    let before = activity.written();
    let moving = async {
        client.write_all(far.ahead.data()).await?;
        far.stream.write_all(ahead).await?;
        tokio::io::copy_bidirectional(&mut client, &mut far.stream).await
    };
    // Whatever goes either way passes the client's stream, so watching that one is enough.
    let silence = async {
        loop {
            let due = activity.last_moved() + far.idle;
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    };
    let outcome = tokio::select! {
        moved = moving => moved.map(|_counts| ()),
        () = silence => Err(io::ErrorKind::TimedOut.into()),
    };
    record.sent(activity.written() - before);
    outcome
}
