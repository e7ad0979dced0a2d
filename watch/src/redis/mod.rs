//! The count's servers: which is the master, who follows it, and what the count is.
//!
//! [`Config`] says where they are, [`master`] connects to the one that may be written to, [`run`] looks at all
//! of them again and again.

mod collect;
mod config;
mod info;
mod links;
mod sentinel;

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, ConnectionInfo, RedisError, aio::MultiplexedConnection};

pub use self::{
    collect::run,
    config::{Config, ConfigError, Login},
};
use self::{config::Place, links::Links};

/// The longest that a connection, or an answer, may take.
const PATIENCE: Duration = Duration::from_millis(800);

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

/// A connection to the master of this moment, whose answers take at most [`PATIENCE`].
///
/// # Errors
/// There is none, or it does not answer.
pub async fn master(config: &Config) -> Result<MultiplexedConnection, Error> {
    let (address, info) = match &config.place {
        Place::Server(info) => (info.addr().to_string(), info.as_ref().clone()),
        Place::Sentinels { names, master, login, redis } => {
            let mut links = Links::new(login.clone());
            let mut directory = crate::names::Directory::new(names.clone());
            let views = sentinel::ask(&mut links, &directory.look_up().await, master).await;
            let address = sentinel::master(&views).ok_or(Error::NoMaster)?;
            (address.to_string(), links::info(address, redis).map_err(|error| named(address, error))?)
        }
    };
    let failed = |error| Error::Master(address.clone(), error);
    let mut connection = connect(info).await.map_err(failed)?;
    let role: redis::Value = redis::cmd("ROLE").query_async(&mut connection).await.map_err(failed)?;
    match role {
        redis::Value::Array(parts) if parts.first().is_some_and(is_master) => Ok(connection),
        _ => Err(Error::NotMaster(address)),
    }
}

fn named(address: std::net::SocketAddr, error: RedisError) -> Error {
    Error::Master(address.to_string(), error)
}

fn is_master(role: &redis::Value) -> bool {
    matches!(role, redis::Value::BulkString(text) if text == b"master")
        || matches!(role, redis::Value::SimpleString(text) if text == "master")
}

async fn connect(info: ConnectionInfo) -> Result<MultiplexedConnection, RedisError> {
    let bounds =
        AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
    Client::open(info)?.get_multiplexed_async_connection_with_config(&bounds).await
}
