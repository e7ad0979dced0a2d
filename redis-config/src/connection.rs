//! One connection to a server or a sentinel.
//!
//! Connections with TLS are opened here and not by the library, whose verifier cannot be replaced: see [`net::tls`].

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::select_ok;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline, RedisConnectionInfo,
    RedisError, RedisFuture, ToRedisArgs, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    io::tcp::{
        TcpSettings,
        socket2::{SockRef, TcpKeepalive},
    },
};
use tokio::{
    net::{TcpStream, lookup_host},
    task::JoinHandle,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{self, ClientConfig, pki_types::ServerName},
};

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// A connection. Clones share it; it ends when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Connection {
    commands: MultiplexedConnection,
    /// The task that drives a connection with TLS. The library has one of its own for others.
    _driver: Option<Arc<Driver>>,
}

#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    /// Subscribes to channels. Their messages go to the push sender of the connection's configuration.
    ///
    /// # Errors
    /// The server refuses, or the connection broke.
    pub async fn subscribe(&mut self, channels: impl ToRedisArgs) -> Result<(), RedisError> {
        self.commands.subscribe(channels).await
    }
}

impl From<MultiplexedConnection> for Connection {
    /// Takes a connection that the library drives.
    fn from(commands: MultiplexedConnection) -> Self {
        Self { commands, _driver: None }
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        self.commands.req_packed_command(cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.commands.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.commands.get_db()
    }
}

/// Why a connection could not be opened.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: RedisError,
    /// What the peer or this side refused.
    pub(crate) refused: Option<Refused>,
}

/// A refusal that changed files may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The server refused the user or the password.
    Login,
    /// This side does not trust the server's certificate.
    Certificate,
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        // An absent password is NOAUTH, also in answer to HELLO; a wrong one is WRONGPASS.
        let is_login = matches!(error.code(), Some("WRONGPASS" | "NOAUTH"));
        let is_login = is_login || error.kind() == ErrorKind::AuthenticationFailed;
        Self { error, refused: is_login.then_some(Refused::Login) }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        let refused = matches!(tls, Some(rustls::Error::InvalidCertificate(_))).then_some(Refused::Certificate);
        Self { error: error.into(), refused }
    }
}

/// Opens a connection to `address` and logs in. `trust` is for addresses with TLS. Sets no time limit.
pub(crate) async fn open(
    address: &ConnectionAddr,
    login: &RedisConnectionInfo,
    trust: Option<&Arc<ClientConfig>>,
    config: AsyncConnectionConfig,
) -> Result<Connection, Failure> {
    if let (ConnectionAddr::TcpTls { host, port, .. }, Some(trust)) = (address, trust) {
        let stream = handshake(host, *port, trust).await?;
        let (commands, driver) = MultiplexedConnection::new_with_config(login, stream, config).await?;
        return Ok(Connection { commands, _driver: Some(Arc::new(Driver(tokio::spawn(driver)))) });
    }
    let info = address.clone().into_connection_info()?.set_redis_settings(login.clone());
    let client = Client::open(info.set_tcp_settings(tcp_settings()))?;
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?.into())
}

/// Connects to the first address of `host` on which a handshake succeeds.
async fn handshake(host: &str, port: u16, trust: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
    let name =
        ServerName::try_from(host.to_owned()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let attempt = |address: SocketAddr| {
        let (name, connector) = (name.clone(), TlsConnector::from(Arc::clone(trust)));
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            configure(&stream)?;
            connector.connect(name, stream).await
        })
    };
    let attempts: Vec<_> = lookup_host((host, port)).await?.map(attempt).collect();
    if attempts.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    select_ok(attempts).await.map(|(stream, _others)| stream)
}

fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new().with_time(Duration::from_secs(5)).with_interval(Duration::from_secs(1)).with_retries(3)
}

/// The socket options of every connection to Redis and its sentinels: small commands are sent at once, and a
/// server whose machine is gone is noticed within seconds.
fn tcp_settings() -> TcpSettings {
    TcpSettings::default().set_nodelay(true).set_keepalive(keepalive()).set_user_timeout(UNACKNOWLEDGED)
}

/// Sets the options of [`tcp_settings`].
fn configure(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive())?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
}
