//! Which Redis to count in, and when a number may be returned.

use std::fmt;

use redis_config::{Location, LocationError, Place};

/// When a number is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the master has counted. The default without sentinels.
    Local,
    /// When every replica that keeps up, and at least one, has it too. The default with sentinels.
    Replica,
    /// When it is also on their disks. Without sentinels the master's disk suffices. Needs Redis 7.2.
    Fsync,
}

/// What to do while no replica acknowledges the count, or too few sentinels answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degraded {
    /// Answer with an error. The default.
    Refuse,
    /// Return numbers that the loss of one machine may roll back. Redis itself must allow it:
    /// `min-replicas-to-write 0`.
    GoOn,
}

/// Which Redis to count in, and when a number may be returned. Never displays a password.
#[derive(Clone)]
pub struct RedisConfig {
    pub(super) location: Location,
    pub(super) durability: Durability,
    pub(super) degraded: Degraded,
}

impl RedisConfig {
    /// One server, by its URL; see [`Location::url`].
    ///
    /// # Errors
    /// The URL or the certificate authority cannot be used.
    pub fn parse(url: &str, ca: Option<Vec<u8>>) -> Result<Self, LocationError> {
        Location::url(url, ca).map(Self::from)
    }

    /// Reads the files of the login again; see [`Location::reload`].
    pub(in crate::counter) async fn reload(&self) {
        self.location.reload().await;
    }

    /// Replaces the default durability.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    /// Replaces the default behaviour without replicas.
    #[must_use]
    pub fn degraded(self, degraded: Degraded) -> Self {
        Self { degraded, ..self }
    }
}

impl From<Location> for RedisConfig {
    fn from(location: Location) -> Self {
        let durability = match location.place() {
            Place::Server(_) => Durability::Local,
            Place::Sentinels(_) => Durability::Replica,
        };
        Self { location, durability, degraded: Degraded::Refuse }
    }
}

impl fmt::Display for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.location.fmt(f)
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisConfig({self})")
    }
}

#[cfg(test)]
mod tests {
    use redis_config::Login;

    use super::*;

    #[test]
    fn numbers_wait_for_a_replica_by_default_where_there_are_sentinels() {
        let server = RedisConfig::parse("redis://redis", None).unwrap();
        assert_eq!((server.durability, server.degraded), (Durability::Local, Degraded::Refuse));
        let login = Login::default();
        let sentinels = RedisConfig::from(Location::sentinels("a", "counter", &login, &login).unwrap());
        assert_eq!((sentinels.durability, sentinels.degraded), (Durability::Replica, Degraded::Refuse));
    }
}
