//! The counter's Redis servers: their roles, the replication lag and the count.
//!
//! [`Location`] says where they are, [`master`] connects to the writable one, and [`run`] polls all of them.

mod collect;
mod connect;
mod connections;
mod info;
mod sentinel;

use net::Resolver;
use redis::RedisError;
use redis_config::{Connection, Location, Peer, Place};

pub use self::collect::run;
use self::{connect::connect, connections::Connections};

/// Why the master cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No sentinel names a master, or none answers.
    #[error("no sentinel names a master")]
    NoMaster,
    /// The master does not answer, or refuses a command.
    #[error("the master at {0} cannot be used")]
    Master(String, #[source] RedisError),
    /// The named server is not a master: a failover is in progress.
    #[error("{0} is not a master")]
    NotMaster(String),
}

/// Connects to the current master. Commands on the connection time out after 800 ms.
///
/// # Errors
/// No master is known, or it cannot be used.
pub async fn master(location: &Location) -> Result<Connection, Error> {
    let (address, peer) = match location.place() {
        Place::Server(address) => (address.to_string(), Peer::Server),
        Place::Sentinels(sentinels) => {
            let mut connections = Connections::new(location, Peer::Sentinel);
            let mut resolver = Resolver::new(sentinels.addresses.clone());
            let views = sentinel::poll(&mut connections, &resolver.resolve().await, &sentinels.master).await;
            let address = sentinel::master(&views).ok_or(Error::NoMaster)?;
            (address.to_string(), Peer::Named(address))
        }
    };
    let failed = |error| Error::Master(address.clone(), error);
    let mut connection = connect(location, peer).await.map_err(failed)?;
    let role: redis::Value = redis::cmd("ROLE").query_async(&mut connection).await.map_err(failed)?;
    match role {
        redis::Value::Array(parts) if parts.first().is_some_and(is_master) => Ok(connection),
        _ => Err(Error::NotMaster(address)),
    }
}

fn is_master(role: &redis::Value) -> bool {
    matches!(role, redis::Value::BulkString(text) if text == b"master")
        || matches!(role, redis::Value::SimpleString(text) if text == "master")
}
