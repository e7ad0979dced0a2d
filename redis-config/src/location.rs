//! Where Redis is.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use net::{
    HostPort, Malformed,
    tls::{self, AuthorityFault},
};
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError};
use tokio::sync::Mutex as AsyncMutex;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::{
    login::Login,
    state::{Keys, State},
};

/// The port of a sentinel by default.
const SENTINEL_PORT: u16 = 26379;

/// Where Redis is, how to log in, and whom to trust. Clones share what the files contain. Never displays a password.
#[derive(Clone)]
pub struct Location {
    place: Arc<Place>,
    /// Held for a few instructions at a time, never across an await.
    state: Arc<Mutex<State>>,
    source: Option<Source>,
    /// Held while the source is read.
    reading: Arc<AsyncMutex<()>>,
}

/// Reads the files from which a location was loaded, and returns what changed since they had a fingerprint. Blocks.
pub(crate) type Source = Arc<dyn Fn(u64) -> Option<Change> + Send + Sync>;

/// Changed files.
pub(crate) struct Change {
    pub(crate) fingerprint: u64,
    /// Their keys, or why they cannot be used.
    pub(crate) location: Result<Keys, String>,
}

/// What a [`Location`] names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// One server, always the same.
    Server(ConnectionAddr),
    /// The servers that the sentinels know under one name.
    Sentinels(Sentinels),
}

/// The sentinels of a replicated Redis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentinels {
    /// Hosts, each of which may stand for several addresses, and ports.
    pub addresses: Vec<HostPort>,
    /// What the sentinels call the master.
    pub master: String,
}

impl Location {
    /// Parses `redis://[[user]:password@]host[:port][/db]`, the same with `rediss://` for TLS, or
    /// `redis+unix:///path` (also `unix://`) with `?db=&user=&pass=`. `ca` is the certificate authority that
    /// signed the server's certificate, or that certificate itself, in PEM; without it the system's authorities are
    /// trusted.
    ///
    /// # Errors
    /// The URL or the certificate cannot be used. The error does not repeat the URL, which may
    /// hold a password.
    pub fn url(url: &str, ca: Option<Vec<u8>>) -> Result<Self, LocationError> {
        if redis::parse_redis_url(url).is_none() {
            return Err(LocationError::Scheme);
        }
        let info = url.into_connection_info().map_err(LocationError::Url)?;
        let server = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let trust = trust(&info, ca)?;
        let keys = Keys { server, sentinel: RedisConnectionInfo::default(), trust };
        Ok(Self::new(Place::Server(info.addr().clone()), keys))
    }

    /// Parses `list`, sentinels as `host[:port]` separated by commas, where a host may stand for several
    /// addresses and the port is 26379 by default. They call the master `master`. `redis` and `sentinel` are how
    /// to log in to the servers and to the sentinels.
    ///
    /// # Errors
    /// The list is empty, an entry is malformed, or the name is empty.
    pub fn sentinels(list: &str, master: &str, redis: &Login, sentinel: &Login) -> Result<Self, LocationError> {
        let addresses = HostPort::list(list, Some(SENTINEL_PORT)).map_err(LocationError::Sentinel)?;
        if addresses.is_empty() {
            return Err(LocationError::NoSentinel);
        }
        if master.is_empty() {
            return Err(LocationError::NoMaster);
        }
        let place = Place::Sentinels(Sentinels { addresses, master: master.to_owned() });
        let keys = Keys { server: redis.connection_info(), sentinel: sentinel.connection_info(), trust: None };
        Ok(Self::new(place, keys))
    }

    /// What it names, which never changes.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    fn new(place: Place, keys: Keys) -> Self {
        let state = Arc::new(Mutex::new(State::new(keys, 0)));
        Self { place: Arc::new(place), state, source: None, reading: Arc::default() }
    }

    /// Adds where it was loaded from, and the fingerprint of that.
    pub(crate) fn with_source(self, source: Source, fingerprint: u64) -> Self {
        self.state().fingerprint = fingerprint;
        Self { source: Some(source), ..self }
    }

    pub(crate) fn source(&self) -> Option<Source> {
        self.source.clone()
    }

    pub(crate) fn reading(&self) -> Arc<AsyncMutex<()>> {
        Arc::clone(&self.reading)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // No code under the lock panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest keys and their version.
    pub(crate) fn newest(&self) -> (u64, Keys) {
        let state = self.state();
        (state.version, state.keys.clone())
    }

    /// The keys of changed files, which must name the same servers and the same database.
    pub(crate) fn keys_for(&self, place: &Place, database: i64) -> Option<Keys> {
        let (_version, keys) = self.newest();
        (*self.place == *place && keys.server.db() == database).then_some(keys)
    }
}

/// Returns the configuration of TLS, if the URL asks for it.
fn trust(info: &ConnectionInfo, ca: Option<Vec<u8>>) -> Result<Option<Arc<ClientConfig>>, LocationError> {
    match (info.addr(), ca) {
        (ConnectionAddr::TcpTls { insecure: true, .. }, _) => Err(LocationError::Insecure),
        (ConnectionAddr::TcpTls { .. }, None) => {
            let config = tls::client_config(tls::system_roots(), &[]).map_err(AuthorityFault::from)?;
            Ok(Some(Arc::new(config)))
        }
        (ConnectionAddr::TcpTls { .. }, Some(pem)) => {
            let listed = tls::authorities(&pem)?;
            let config = tls::client_config(RootCertStore::empty(), &listed).map_err(AuthorityFault::from)?;
            Ok(Some(Arc::new(config)))
        }
        (_, Some(_)) => Err(LocationError::CaWithoutTls),
        (_, None) => Ok(None),
    }
}

impl fmt::Display for Location {
    /// `host:port`, the path of the socket, or `NAME by HOST:PORT,...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place() {
            Place::Server(address) => address.fmt(f),
            Place::Sentinels(sentinels) => {
                write!(f, "{} by ", sentinels.master)?;
                for (index, address) in sentinels.addresses.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    write!(f, "{comma}{address}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// Why a [`Location`] cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// The text is not a URL, or has another scheme.
    #[error("write redis://host:6379, rediss://host:6379 or redis+unix:///path/to/socket")]
    Scheme,
    /// A part of the URL is wrong.
    #[error("the URL of Redis cannot be used")]
    Url(#[source] RedisError),
    /// The file of the certificate authority cannot be used.
    #[error("the file {0}")]
    Ca(#[from] AuthorityFault),
    /// The URL turns the verification of the server's certificate off.
    #[error(
        "`#insecure` cannot be used: name the server's certificate, or its authority, as the certificate authority"
    )]
    Insecure,
    /// Entries of the list that are not a host with or without a port.
    #[error("malformed {0}: write host:port,host:port,... such as tasks.sentinel:26379, and a password into a file")]
    Sentinel(Malformed),
    /// The list of sentinels is empty.
    #[error("it names no sentinel: write host:port,host:port,...")]
    NoSentinel,
    /// The name of the master is empty.
    #[error("it is empty: write the name after `sentinel monitor`, such as counter")]
    NoMaster,
    /// A certificate authority was given for a connection without TLS.
    #[error("a certificate authority can only be used with rediss://")]
    CaWithoutTls,
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use net::pem;

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
            let location = Location::url(url, None).unwrap();
            assert_eq!(location.to_string(), shown);
            assert!(!format!("{location:?}").contains("s3cret"));
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
            let error = Location::url(url, None).unwrap_err();
            let source = error.source().map(ToString::to_string).unwrap_or_default();
            let text = format!("{error} {source} {error:?}");
            assert!(!text.contains("s3cret"), "{url}: {text}");
        }
    }

    #[test]
    fn the_verification_of_certificates_cannot_be_turned_off() {
        assert!(matches!(Location::url("rediss://redis/#insecure", None), Err(LocationError::Insecure)));
    }

    #[test]
    fn another_server_or_database_is_not_the_same_place_but_another_login_is() {
        let location = |url| Location::url(url, None).unwrap();
        let before = location("redis://:old@redis/1");
        for (url, expected) in [
            ("redis://app:new@redis:6379/1", true),
            ("redis://:old@redis/2", false),
            ("redis://:old@other/1", false),
            ("redis://:old@redis:6380/1", false),
            ("rediss://:old@redis/1", false),
        ] {
            assert_eq!(location(url).keys_for(before.place(), 1).is_some(), expected, "{url}");
        }
    }

    #[test]
    fn a_private_authority_needs_tls_and_pem() {
        let without_tls = Location::url("redis://redis", Some(Vec::new()));
        assert!(matches!(without_tls, Err(LocationError::CaWithoutTls)));
        for (file, fault) in [("garbage", pem::Fault::NotPem), ("", pem::Fault::Blank)] {
            let error = Location::url("rediss://redis", Some(file.into())).unwrap_err();
            assert!(matches!(&error, LocationError::Ca(AuthorityFault::Pem(found)) if *found == fault), "{error:?}");
        }
    }

    #[test]
    fn sentinels_are_hosts_with_or_without_a_port() {
        let login = Login { user: Some("app".into()), password: Some("s3cret".into()) };
        let table = [
            ("a:1, b:2,c", "counter by a:1,b:2,c:26379"),
            ("tasks.sentinel", "counter by tasks.sentinel:26379"),
            ("[::1]:5,::1,10.0.0.1", "counter by [::1]:5,[::1]:26379,10.0.0.1:26379"),
        ];
        for (list, shown) in table {
            let location = Location::sentinels(list, "counter", &login, &login).unwrap();
            assert_eq!(location.to_string(), shown);
            assert!(!format!("{location:?} {login:?}").contains("s3cret"));
        }
        for list in ["", ",", "a:", "a:0", ":1", "a:x", "redis://a:1", "a b:1", "redis://:s3cret@a:1", "app:s3cret@a"] {
            let refused = Location::sentinels(list, "counter", &login, &login).unwrap_err();
            assert!(matches!(refused, LocationError::Sentinel(_) | LocationError::NoSentinel), "{list}");
            assert!(!format!("{refused} {refused:?}").contains("s3cret"), "{refused:?}");
        }
        let refused = Location::sentinels("a", "", &login, &login);
        assert!(matches!(refused, Err(LocationError::NoMaster)));
    }
}
