//! Where Redis is, and how to log in. The same settings as the counter's.

use std::fmt;

use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, RedisError};

use crate::names::Name;

/// The sentinels' usual port.
const SENTINEL: u16 = 26379;

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

#[derive(Clone)]
pub(super) enum Place {
    /// One server, always the same.
    Server(Box<ConnectionInfo>),
    /// The master that the sentinels name.
    Sentinels {
        names: Vec<Name>,
        master: String,
        /// For the sentinels.
        login: RedisConnectionInfo,
        /// For the servers.
        redis: RedisConnectionInfo,
    },
}

/// Which Redis. Never displays a password.
#[derive(Clone)]
pub struct Config {
    pub(super) place: Place,
}

impl Config {
    /// One server: `redis://[[user]:password@]host[:port][/db]`, `rediss://` or `redis+unix:///path`.
    ///
    /// # Errors
    /// The URL cannot be used. The error does not repeat it.
    pub fn url(url: &str) -> Result<Self, ConfigError> {
        if redis::parse_redis_url(url).is_none() {
            return Err(ConfigError::Scheme);
        }
        let info = url.into_connection_info().map_err(ConfigError::Url)?;
        Ok(Self { place: Place::Server(Box::new(info)) })
    }

    /// The servers that the sentinels of `list` know as `master`.
    ///
    /// # Errors
    /// There is no sentinel in the list, one is not understood, or the name is empty.
    pub fn sentinels(list: &str, master: &str, redis: &Login, sentinel: &Login) -> Result<Self, ConfigError> {
        let names = Name::list(list, Some(SENTINEL)).map_err(ConfigError::Sentinel)?;
        if names.is_empty() {
            return Err(ConfigError::NoSentinel);
        }
        if master.is_empty() {
            return Err(ConfigError::NoMaster);
        }
        let place =
            Place::Sentinels { names, master: master.to_owned(), login: sentinel.settings(), redis: redis.settings() };
        Ok(Self { place })
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Server(info) => info.addr().fmt(f),
            Place::Sentinels { names, master, .. } => {
                let names: Vec<_> = names.iter().map(ToString::to_string).collect();
                write!(f, "{master} by {}", names.join(","))
            }
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Config({self})")
    }
}

/// Why a [`Config`] cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No URL, or another kind of URL.
    #[error("write redis://host:6379, rediss://host:6379 or redis+unix:///path/to/socket")]
    Scheme,
    /// The right kind of URL with a part that is wrong.
    #[error("the URL of Redis cannot be used")]
    Url(#[source] RedisError),
    /// A sentinel is no host with or without a port.
    #[error("{0:?} is no sentinel: write host:port,host:port,... such as tasks.sentinel:26379")]
    Sentinel(String),
    /// The list of sentinels is empty.
    #[error("it names no sentinel: write host:port,host:port,...")]
    NoSentinel,
    /// The name of the master is empty.
    #[error("it is empty: write the name after `sentinel monitor`, such as counter")]
    NoMaster,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_understood_is_displayed_without_its_password() {
        let login = Login { user: None, password: Some("s3cret".to_owned()) };
        let config = Config::sentinels("a:1,b", "counter", &login, &login).unwrap();
        assert_eq!(config.to_string(), "counter by a:1,b:26379");
        assert!(!format!("{config:?} {login:?}").contains("s3cret"));
        let config = Config::url("redis://:s3cret@redis").unwrap();
        assert_eq!(format!("{config:?}"), "Config(redis:6379)");
        assert!(matches!(Config::url("http://:s3cret@redis"), Err(ConfigError::Scheme)));
        assert!(!Config::url("redis://:s3cret@redis/x").unwrap_err().to_string().contains("s3cret"));
        for (list, master) in [("", "m"), ("a:x", "m"), ("a", "")] {
            Config::sentinels(list, master, &login, &login).unwrap_err();
        }
    }
}
