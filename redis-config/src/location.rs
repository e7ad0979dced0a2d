//! Where Redis is.

use std::fmt;

use net::{HostPort, Malformed, pem};
use redis::{
    Client, ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError, TlsCertificates,
};

use crate::{connection::tcp_settings, login::Login};

/// The port of a sentinel by default.
const SENTINEL_PORT: u16 = 26379;

/// Where Redis is, and how to log in. Never displays a password.
#[derive(Clone)]
pub enum Location {
    /// One server, always the same.
    Server(Box<Client>),
    /// The servers that the sentinels know under one name.
    Sentinels(Sentinels),
}

/// The sentinels of a replicated Redis.
#[derive(Clone)]
pub struct Sentinels {
    /// Hosts, each of which may stand for several addresses, and ports.
    pub addresses: Vec<HostPort>,
    /// What the sentinels call the master.
    pub master: String,
    /// How to log in to the sentinels.
    pub login: RedisConnectionInfo,
    /// How to log in to the servers that they name.
    pub server_login: RedisConnectionInfo,
}

impl Location {
    /// Parses `redis://[[user]:password@]host[:port][/db]`, the same with `rediss://` for TLS, or
    /// `redis+unix:///path` (also `unix://`) with `?db=&user=&pass=`. `ca` is the certificate authority that
    /// signed the server's certificate, in PEM; without it the system's authorities are trusted.
    ///
    /// # Errors
    /// The URL or the certificate cannot be used. The error does not repeat the URL, which may
    /// hold a password.
    pub fn url(url: &str, ca: Option<Vec<u8>>) -> Result<Self, LocationError> {
        if redis::parse_redis_url(url).is_none() {
            return Err(LocationError::Scheme);
        }
        let info = url.into_connection_info().map_err(LocationError::Url)?;
        let session = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let info = info.set_tcp_settings(tcp_settings()).set_redis_settings(session);
        let tls = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        let client = match ca {
            None => Client::open(info).map_err(LocationError::Url)?,
            Some(_) if !tls => return Err(LocationError::CaWithoutTls),
            Some(pem) => {
                // The library takes a file without a certificate to mean that no server is trusted, and its errors
                // quote the file, which may be a key by mistake.
                pem::certificates(&pem).map_err(LocationError::Pem)?;
                let trust = TlsCertificates { client_tls: None, root_cert: Some(pem) };
                Client::build_with_tls(info, trust).map_err(LocationError::Ca)?
            }
        };
        Ok(Self::Server(Box::new(client)))
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
        Ok(Self::Sentinels(Sentinels {
            addresses,
            master: master.to_owned(),
            login: sentinel.connection_info(),
            server_login: redis.connection_info(),
        }))
    }
}

impl fmt::Display for Location {
    /// `host:port`, the path of the socket, or `NAME by HOST:PORT,...`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(client) => client.get_connection_info().addr().fmt(f),
            Self::Sentinels(sentinels) => {
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
    /// The file of the certificate authority contains no usable certificate.
    #[error("the file {0}")]
    Pem(pem::Fault),
    /// The certificate authority cannot be trusted.
    #[error("the certificate authority of Redis cannot be used")]
    Ca(#[source] RedisError),
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
    fn a_private_authority_needs_tls_and_pem() {
        let without_tls = Location::url("redis://redis", Some(Vec::new()));
        assert!(matches!(without_tls, Err(LocationError::CaWithoutTls)));
        for (file, fault) in [("garbage", pem::Fault::NotPem), ("", pem::Fault::Blank)] {
            let error = Location::url("rediss://redis", Some(file.into())).unwrap_err();
            assert!(matches!(&error, LocationError::Pem(found) if *found == fault), "{error:?}");
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
