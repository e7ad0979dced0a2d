//! The count in Redis: the key `hits`, a plain integer, so that the tutorial's program and this one
//! can count side by side.
//!
//! The library's habits that matter here. Its connection is one socket with a task of its own; a
//! command on it is never sent again, unlike with its cluster client. It keeps a connection after a
//! time-out and after READONLY, which would leave a replica bound to a dead or demoted master: here
//! every failure of any kind drops the connection. Losing the connection while it is idle is told
//! by a push message, which needs RESP3, that is Redis 6 or later.

use std::{fmt, io, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisError, TlsCertificates,
    aio::MultiplexedConnection,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use tokio::sync::Notify;

use super::{Store, StoreError};

/// The tutorial's key.
const KEY: &str = "hits";

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// Which Redis, and how to trust it. Never displays a password.
#[derive(Clone)]
pub struct RedisConfig {
    client: Arc<Client>,
}

impl RedisConfig {
    /// Parses `redis://[[user]:password@]host[:port][/db]`, the same with `rediss://` for TLS, or
    /// `redis+unix:///path` (also `unix://`) with `?db=&user=&pass=`. `ca` is what signed the
    /// server's certificate, in PEM; without it the system's certificates are trusted.
    ///
    /// # Errors
    /// The URL or the certificate cannot be used. The error does not repeat the URL, which may
    /// hold a password.
    pub fn parse(url: &str, ca: Option<Vec<u8>>) -> Result<Self, RedisConfigError> {
        if redis::parse_redis_url(url).is_none() {
            return Err(RedisConfigError::Scheme);
        }
        let info = url.into_connection_info().map_err(RedisConfigError::Url)?;
        let keepalive =
            TcpKeepalive::new().with_time(Duration::from_secs(5)).with_interval(Duration::from_secs(1)).with_retries(3);
        let tcp = TcpSettings::default().set_nodelay(true).set_keepalive(keepalive).set_user_timeout(UNACKNOWLEDGED);
        let session = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let info = info.set_tcp_settings(tcp).set_redis_settings(session);
        let tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let client = match ca {
            None => Client::open(info).map_err(RedisConfigError::Url)?,
            Some(_) if !tls => return Err(RedisConfigError::CaWithoutTls),
            Some(pem) => {
                // The library takes what holds no certificate for "trust nobody".
                let first = CertificateDer::pem_slice_iter(&pem).next();
                if !matches!(first, Some(Ok(_))) {
                    return Err(RedisConfigError::NoCertificate);
                }
                let trust = TlsCertificates { client_tls: None, root_cert: Some(pem) };
                Client::build_with_tls(info, trust).map_err(RedisConfigError::Ca)?
            }
        };
        Ok(Self { client: Arc::new(client) })
    }
}

impl fmt::Display for RedisConfig {
    /// `host:port` or the path of the socket.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.client.get_connection_info().addr().fmt(f)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisConfig({self})")
    }
}

/// Why a [`RedisConfig`] cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisConfigError {
    /// No URL, or another kind of URL.
    #[error("write redis://host:6379, rediss://host:6379 or redis+unix:///path/to/socket")]
    Scheme,
    /// The right kind of URL with a part that is wrong.
    #[error("the URL of Redis cannot be used")]
    Url(#[source] RedisError),
    /// The certificate authority is no certificate in PEM.
    #[error("it holds no certificate in PEM")]
    NoCertificate,
    /// The certificate authority cannot be trusted.
    #[error("the certificate authority of Redis cannot be used")]
    Ca(#[source] RedisError),
    /// A certificate authority was given for a connection without TLS.
    #[error("a certificate authority is only of use with rediss://")]
    CaWithoutTls,
}

/// A connection to one Redis, or the lack of it.
pub(super) struct Redis {
    client: Arc<Client>,
    connection: Option<Connection>,
}

struct Connection {
    commands: MultiplexedConnection,
    /// Told by the library when the socket closes.
    closed: Arc<Notify>,
}

impl Redis {
    pub(super) fn new(config: &RedisConfig) -> Self {
        Self { client: Arc::clone(&config.client), connection: None }
    }
}

impl Store for Redis {
    async fn connect(&mut self) -> Result<(), StoreError> {
        // Whatever the old connection still owes is of no interest, and must not be taken for an
        // answer on the new one.
        self.connection = None;
        let closed = Arc::new(Notify::new());
        let signal = Arc::clone(&closed);
        let config = AsyncConnectionConfig::new()
            // The caller bounds every call itself.
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    signal.notify_one();
                }
                Ok::<(), io::Error>(())
            });
        let commands =
            self.client.get_multiplexed_async_connection_with_config(&config).await.map_err(not_connected)?;
        self.connection = Some(Connection { commands, closed });
        self.add(0).await.map(|_count| ())
    }

    async fn add(&mut self, hits: u64) -> Result<u64, StoreError> {
        // Taken, not borrowed: if this future is dropped or fails, the connection goes with it.
        let Some(mut connection) = self.connection.take() else {
            return Err(StoreError::Connect("not connected".into()));
        };
        let answer: Result<i64, RedisError> =
            redis::cmd("INCRBY").arg(KEY).arg(hits).query_async(&mut connection.commands).await;
        let count = answer.map_err(not_counted)?;
        self.connection = Some(connection);
        match u64::try_from(count) {
            Ok(count) if count >= hits => Ok(count),
            _ => Err(StoreError::NotACount(format!("it was below zero ({count})"))),
        }
    }

    async fn lost(&mut self) -> StoreError {
        if let Some(connection) = &self.connection {
            connection.closed.notified().await;
        }
        StoreError::Lost("closed by Redis".into())
    }
}

fn not_connected(error: RedisError) -> StoreError {
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => {
            StoreError::Refused(error.into())
        }
        _ => StoreError::Connect(error.into()),
    }
}

fn not_counted(error: RedisError) -> StoreError {
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        // The texts are those of Redis's own source; they have no codes of their own.
        ErrorKind::Server(_) | ErrorKind::Extension
            if error.code() == Some("WRONGTYPE")
                || detail.contains("not an integer")
                || detail.contains("would overflow") =>
        {
            StoreError::NotACount(detail.to_owned())
        }
        ErrorKind::Server(_) | ErrorKind::Extension => StoreError::Refused(error.into()),
        _ => StoreError::Lost(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_urls_are_understood_and_shown_without_secrets() {
        let table = [
            ("redis://redis", "redis:6379"),
            ("redis://:s3cret@redis:6380/2", "redis:6380"),
            ("rediss://user:s3cret@redis.example.com", "redis.example.com:6379"),
            ("redis+unix:///run/redis.sock?pass=s3cret", "/run/redis.sock"),
            ("unix:///run/redis.sock", "/run/redis.sock"),
        ];
        for (url, shown) in table {
            let config = RedisConfig::parse(url, None).unwrap();
            assert_eq!(config.to_string(), shown);
            assert!(!format!("{config:?}").contains("s3cret"));
        }
    }

    #[test]
    fn a_wrong_url_is_refused_without_repeating_it() {
        for url in [
            "",
            "redis",
            "s3cret@redis:6379",
            "http://:s3cret@redis",
            "redis://:s3cret@redis:port",
            "redis://:s3cret@redis/db",
        ] {
            let error = RedisConfig::parse(url, None).unwrap_err();
            let text = format!("{} {error:?}", crate::error::chain(&error));
            assert!(!text.contains("s3cret"), "{url}: {text}");
        }
    }

    #[test]
    fn a_private_authority_needs_tls_and_pem() {
        let without_tls = RedisConfig::parse("redis://redis", Some(Vec::new()));
        assert!(matches!(without_tls, Err(RedisConfigError::CaWithoutTls)));
        let garbage = RedisConfig::parse("rediss://redis", Some(b"garbage".to_vec()));
        assert!(matches!(garbage, Err(RedisConfigError::NoCertificate)), "{garbage:?}");
    }
}
