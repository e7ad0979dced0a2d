//! Connections that are kept between polls.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
};

use redis::{FromRedisValue, Pipeline, RedisError};
use redis_config::{Connection as Open, Location, Peer};

use super::connect::connect;

/// Connections by address. A failed connection is replaced.
pub(super) struct Connections {
    location: Location,
    kind: Kind,
    open: HashMap<SocketAddr, Open>,
}

/// Which peer of a location is at an address.
type Kind = fn(SocketAddr) -> Peer;

impl Connections {
    /// `kind` is [`Peer::Named`] or [`Peer::Sentinel`].
    pub(super) fn new(location: &Location, kind: Kind) -> Self {
        Self { location: location.clone(), kind, open: HashMap::new() }
    }

    /// Takes the connections to `addresses`, open or not, and drops the others.
    pub(super) fn take(&mut self, addresses: &BTreeSet<SocketAddr>) -> Vec<Connection> {
        let mut open = std::mem::take(&mut self.open);
        let connection = |address: &SocketAddr| Connection {
            address: *address,
            location: self.location.clone(),
            peer: (self.kind)(*address),
            open: open.remove(address),
        };
        addresses.iter().map(connection).collect()
    }

    /// Puts a connection back.
    pub(super) fn put(&mut self, connection: Connection) {
        if let Some(open) = connection.open {
            self.open.insert(connection.address, open);
        }
    }
}

/// A connection to one address, which is opened when needed.
pub(super) struct Connection {
    pub(super) address: SocketAddr,
    location: Location,
    peer: Peer,
    open: Option<Open>,
}

impl Connection {
    /// Sends commands, over a new connection if none is open.
    pub(super) async fn query<T: FromRedisValue>(&mut self, commands: &Pipeline) -> Result<T, RedisError> {
        let mut connection = match self.open.take() {
            Some(connection) => connection,
            None => connect(&self.location, self.peer).await?,
        };
        let response = commands.query_async(&mut connection).await;
        // After an error reply the connection is still usable, but that is not worth distinguishing from a broken one.
        if response.is_ok() {
            self.open = Some(connection);
        }
        response
    }
}
