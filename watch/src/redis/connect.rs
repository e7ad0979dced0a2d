//! Opening of connections.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection};

/// Time limit for a connection attempt and for a response.
const TIMEOUT: Duration = Duration::from_millis(800);

/// Opens a connection with [`TIMEOUT`].
pub(super) async fn connect(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    let timeouts =
        AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT)).set_response_timeout(Some(TIMEOUT));
    client.get_multiplexed_async_connection_with_config(&timeouts).await
}
