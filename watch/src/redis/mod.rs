//! The count's servers: which is the master, who follows it, and what the count is.
//!
//! [`Location`] says where they are, [`master`] connects to the one that may be written to, [`run`] looks at all
//! of them again and again.

mod collect;
mod connect;
mod connections;
mod info;
mod sentinel;

use redis::{RedisError, aio::MultiplexedConnection};
use redis_config::Location;

pub use self::collect::run;
use self::{connect::connect, connections::Links};
use crate::host_port::Directory;

/// Why there is no master to be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No sentinel knows one, or none answers.
    #[error("no sentinel names a master")]
    NoMaster,
    /// It does not answer, or says no.
    #[error("the master at {0} cannot be used")]
    Master(String, #[source] RedisError),
    /// Who was named is none: a failover is under way.
    #[error("{0} is no master")]
    NotMaster(String),
}

/// Connects to the current master. Each answer on the connection takes at most 800 ms.
///
/// # Errors
/// There is none, or it does not answer.
pub async fn master(location: &Location) -> Result<MultiplexedConnection, Error> {
    let (address, client) = match location {
        Location::Server(client) => (client.get_connection_info().addr().to_string(), client.as_ref().clone()),
        Location::Sentinels(sentinels) => {
            let mut links = Links::new(sentinels.login.clone());
            let mut directory = Directory::of_hosts(&sentinels.addresses);
            let views = sentinel::ask(&mut links, &directory.look_up().await, &sentinels.master).await;
            let address = sentinel::master(&views).ok_or(Error::NoMaster)?;
            let client = redis_config::client(address, &sentinels.server_login);
            (address.to_string(), client.map_err(|error| Error::Master(address.to_string(), error))?)
        }
    };
    let failed = |error| Error::Master(address.clone(), error);
    let mut connection = connect(&client).await.map_err(failed)?;
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
