//! Opening of connections.

use std::{io, time::Duration};

use redis::{AsyncConnectionConfig, RedisError};
use redis_config::{Connection, Location, Peer};
use tokio::time::timeout;

/// Time limit for a connection attempt and for a response.
const TIMEOUT: Duration = Duration::from_millis(800);

/// Opens a connection with [`TIMEOUT`].
pub(super) async fn connect(location: &Location, peer: Peer) -> Result<Connection, RedisError> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(TIMEOUT));
    let connecting = timeout(TIMEOUT, location.connect(peer, &config));
    connecting.await.unwrap_or_else(|_elapsed| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}
