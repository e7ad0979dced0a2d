//! Connections with time-outs.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, RedisError, aio::MultiplexedConnection};

/// The longest that connecting, or one answer, may take.
const TIMEOUT: Duration = Duration::from_millis(800);

/// Connects. Every command on the connection has the same time-out as connecting, 800 ms.
pub(super) async fn connect(client: &Client) -> Result<MultiplexedConnection, RedisError> {
    let timeouts =
        AsyncConnectionConfig::new().set_connection_timeout(Some(TIMEOUT)).set_response_timeout(Some(TIMEOUT));
    client.get_multiplexed_async_connection_with_config(&timeouts).await
}
