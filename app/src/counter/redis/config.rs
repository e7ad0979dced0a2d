//! Which Redis to count in, how to log in, and when a number may be told.

use std::{fmt, sync::Arc, time::Duration};

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError,
    TlsCertificates,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::counter::sentinel::Directory;

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// What every connection to Redis and its sentinels has.
pub(in crate::counter) fn tcp_settings() -> TcpSettings {
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(5)).with_interval(Duration::from_secs(1)).with_retries(3);
    TcpSettings::default().set_nodelay(true).set_keepalive(keepalive).set_user_timeout(UNACKNOWLEDGED)
}

/// When a number is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the master has counted. The default without sentinels.
    Local,
    /// When a replica has it, too, and every replica that keeps up. The default with sentinels.
    Replica,
    /// As [`Durability::Replica`], if there are sentinels, and when it is on the disks. Needs Redis 7.2.
    Fsync,
}

/// What to do while no replica has what is counted, or too few sentinels answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degraded {
    /// Answer with an error. The default.
    Refuse,
    /// Tell numbers that the loss of one machine may take back. Redis itself must allow it:
    /// `min-replicas-to-write 0`.
    GoOn,
}

/// A user and a password, where they are needed. Never displayed.
#[derive(Clone, Default)]
pub struct Login {
    /// Of the access control list; without one it is `default`.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl Login {
    fn settings(&self) -> RedisConnectionInfo {
        let mut settings = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP3);
        if let Some(user) = &self.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        settings
    }
}

/// Where Redis is.
#[derive(Clone)]
pub(super) enum Place {
    /// One server, always the same.
    Server(Arc<Client>),
    /// The master that the sentinels name.
    Sentinels {
        directory: Directory,
        /// For the master.
        login: RedisConnectionInfo,
    },
}

/// Which Redis, and how to trust it. Never displays a password.
#[derive(Clone)]
pub struct RedisConfig {
    pub(super) place: Place,
    pub(super) durability: Durability,
    pub(super) degraded: Degraded,
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
        let session = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let info = info.set_tcp_settings(tcp_settings()).set_redis_settings(session);
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
        let place = Place::Server(Arc::new(client));
        Ok(Self { place, durability: Durability::Local, degraded: Degraded::Refuse })
    }

    /// The master called `master` by `sentinels`: `host[:port]`, separated by commas, where a host may
    /// stand for several addresses and the port is 26379 by default. `redis` and `sentinel` are how to
    /// log in to the master and to the sentinels.
    ///
    /// # Errors
    /// There is no sentinel in the list, one of them is not understood, or the name is empty.
    pub fn sentinels(sentinels: &str, master: &str, redis: &Login, sentinel: &Login) -> Result<Self, RedisConfigError> {
        let sentinels = sentinels
            .split(',')
            .map(str::trim)
            .filter(|one| !one.is_empty())
            .map(|one| host_and_port(one).ok_or_else(|| RedisConfigError::Sentinel(one.to_owned())));
        let sentinels = sentinels.collect::<Result<Vec<_>, _>>()?;
        if sentinels.is_empty() {
            return Err(RedisConfigError::NoSentinel);
        }
        if master.is_empty() {
            return Err(RedisConfigError::NoMaster);
        }
        let directory = Directory { sentinels, master: master.to_owned(), login: sentinel.settings() };
        let place = Place::Sentinels { directory, login: redis.settings() };
        Ok(Self { place, durability: Durability::Replica, degraded: Degraded::Refuse })
    }

    /// With another durability than the default one.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// With another way to go on without replicas than to refuse.
    #[must_use]
    pub fn degraded(self, degraded: Degraded) -> Self {
        Self { degraded, ..self }
    }
}

impl fmt::Display for RedisConfig {
    /// `host:port`, the path of the socket, or `NAME by HOST:PORT,...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Server(client) => client.get_connection_info().addr().fmt(f),
            Place::Sentinels { directory, .. } => {
                write!(f, "{} by ", directory.master)?;
                for (index, (host, port)) in directory.sentinels.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{host}:{port}")?;
                }
                Ok(())
            }
        }
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
    /// A sentinel is no host with or without a port.
    #[error("{0:?} is no sentinel: write host:port,host:port,... such as tasks.sentinel:26379")]
    Sentinel(String),
    /// The list of sentinels is empty.
    #[error("it names no sentinel: write host:port,host:port,...")]
    NoSentinel,
    /// The name of the master is empty.
    #[error("it is empty: write the name after `sentinel monitor`, such as counter")]
    NoMaster,
    /// A certificate authority was given for a connection without TLS.
    #[error("a certificate authority is only of use with rediss://")]
    CaWithoutTls,
}

/// `host`, `host:port`, `[address]:port` or an address.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    const PORT: u16 = 26379;
    let (host, port) = if text.parse::<std::net::Ipv6Addr>().is_ok() {
        (text, PORT)
    } else {
        match text.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
            None => (text, PORT),
        }
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    (!host.is_empty() && host.chars().all(plain)).then(|| (host.to_owned(), port))
}

/// How to reach the master at an address.
pub(super) fn client_of(address: std::net::SocketAddr, login: &RedisConnectionInfo) -> Result<Client, RedisError> {
    let place = ConnectionAddr::Tcp(address.ip().to_string(), address.port());
    let info: ConnectionInfo = place.into_connection_info()?;
    Client::open(info.set_redis_settings(login.clone()).set_tcp_settings(tcp_settings()))
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

    #[test]
    fn sentinels_are_hosts_with_or_without_a_port() {
        let login = Login { user: Some("app".into()), password: Some("s3cret".into()) };
        let table = [
            ("a:1, b:2,c", "counter by a:1,b:2,c:26379"),
            ("tasks.sentinel", "counter by tasks.sentinel:26379"),
            ("[::1]:5,::1,10.0.0.1", "counter by ::1:5,::1:26379,10.0.0.1:26379"),
        ];
        for (list, shown) in table {
            let config = RedisConfig::sentinels(list, "counter", &login, &login).unwrap();
            assert_eq!(config.to_string(), shown);
            assert_eq!((config.durability, config.degraded), (Durability::Replica, Degraded::Refuse));
            assert!(!format!("{config:?} {login:?}").contains("s3cret"));
        }
        for list in ["", ",", "a:", "a:0", ":1", "a:x", "redis://a:1", "a b:1"] {
            let refused = RedisConfig::sentinels(list, "counter", &login, &login);
            assert!(matches!(refused, Err(RedisConfigError::Sentinel(_) | RedisConfigError::NoSentinel)), "{list}");
        }
        let refused = RedisConfig::sentinels("a", "", &login, &login);
        assert!(matches!(refused, Err(RedisConfigError::NoMaster)));
    }
}
