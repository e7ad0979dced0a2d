//! How to connect to a server.

use std::{net::SocketAddr, time::Duration};

use redis::{
    Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, RedisError,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// The socket options of every connection to Redis and its sentinels: small commands are sent at once, and a
/// server whose machine is gone is noticed within seconds.
pub(crate) fn tcp_settings() -> TcpSettings {
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(5)).with_interval(Duration::from_secs(1)).with_retries(3);
    TcpSettings::default().set_nodelay(true).set_keepalive(keepalive).set_user_timeout(UNACKNOWLEDGED)
}

/// A client for the server or sentinel at `address`, without TLS.
///
/// # Errors
/// The library refuses the address.
pub fn client(address: SocketAddr, login: &RedisConnectionInfo) -> Result<Client, RedisError> {
    let place = ConnectionAddr::Tcp(address.ip().to_string(), address.port());
    let info = place.into_connection_info()?;
    Client::open(info.set_redis_settings(login.clone()).set_tcp_settings(tcp_settings()))
}
