//! Connections that are kept from one round to the next.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
};

use redis::{FromRedisValue, Pipeline, RedisConnectionInfo, RedisError, aio::MultiplexedConnection};

use super::connect::connect;

/// Connections by address. One that failed is made anew.
pub(super) struct Links {
    login: RedisConnectionInfo,
    open: HashMap<SocketAddr, MultiplexedConnection>,
}

impl Links {
    pub(super) fn new(login: RedisConnectionInfo) -> Self {
        Self { login, open: HashMap::new() }
    }

    /// Takes out the connections to `addresses`, old and to be made, and forgets the others.
    pub(super) fn take(&mut self, addresses: &BTreeSet<SocketAddr>) -> Vec<Link> {
        let mut open = std::mem::take(&mut self.open);
        let link = |address: &SocketAddr| Link {
            address: *address,
            login: self.login.clone(),
            connection: open.remove(address),
        };
        addresses.iter().map(link).collect()
    }

    pub(super) fn put(&mut self, link: Link) {
        if let Some(connection) = link.connection {
            self.open.insert(link.address, connection);
        }
    }
}

/// A connection to one address, if there is one already.
pub(super) struct Link {
    pub(super) address: SocketAddr,
    login: RedisConnectionInfo,
    connection: Option<MultiplexedConnection>,
}

impl Link {
    /// Asks, in a new connection if there is none yet.
    pub(super) async fn ask<T: FromRedisValue>(&mut self, question: &Pipeline) -> Result<T, RedisError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => connect(&redis_config::client(self.address, &self.login)?).await?,
        };
        let answer = question.query_async(&mut connection).await;
        // One that was told no is as good as before, but there is no need to tell it from a broken one.
        if answer.is_ok() {
            self.connection = Some(connection);
        }
        answer
    }
}
