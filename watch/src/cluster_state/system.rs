//! The counter's Redis servers, and the edges.

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// The Redis servers that store the count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redis {
    /// When a server or a sentinel last answered.
    pub at: Option<Millis>,
    /// The count last read; `None` if it cannot be read or does not exist yet.
    pub count: Option<u64>,
    /// Address of the master named by the sentinels.
    pub master: Option<String>,
    /// Number of configured sentinels.
    pub sentinels: u32,
    /// Number of sentinels that answer.
    pub sentinels_up: u32,
    /// Master and replicas, ordered by address.
    pub servers: Vec<RedisServer>,
    /// Why the data is incomplete.
    pub error: Option<String>,
}

/// One Redis server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisServer {
    /// Host and port.
    pub address: String,
    /// Replication role.
    pub role: Role,
    /// Whether it answers and, for a replica, is connected to its master.
    pub up: bool,
    /// Replication lag in bytes.
    pub lag_bytes: Option<u64>,
}

/// Replication role of a Redis server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Replicates the master.
    #[default]
    Replica,
    /// Accepts writes.
    Master,
}

/// One edge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Id of the node it runs on, if known.
    pub node: Option<String>,
    /// When it last answered.
    pub at: Option<Millis>,
    /// Whether it is ready to serve.
    pub ready: bool,
    /// Why it is not ready.
    pub reasons: Vec<String>,
    /// Version.
    pub version: Option<String>,
    /// Number of requests since its start.
    pub requests: u64,
    /// Upstream pools.
    pub pools: Vec<Pool>,
    /// TLS certificates.
    pub certificates: Vec<Certificate>,
    /// Why its status cannot be read.
    pub error: Option<String>,
}

/// An upstream pool of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Name.
    pub name: String,
    /// Whether the pool is in panic mode: too few endpoints are healthy, so all are used.
    pub panic: bool,
    /// Number of endpoints that receive requests.
    pub usable: u32,
    /// Endpoints, ordered by address.
    pub endpoints: Vec<Endpoint>,
}

/// An endpoint of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address and port.
    pub address: String,
    /// The edge's name for its state: `healthy`, `unhealthy`, `ejected` and so on.
    pub state: String,
    /// Whether it receives requests.
    pub usable: bool,
    /// Why it receives none.
    pub reason: Option<String>,
}

/// A TLS certificate of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Names it is valid for.
    pub names: Vec<String>,
    /// When it expires.
    pub not_after: Option<Millis>,
    /// Whether the edge generated it because none is configured.
    pub self_signed: bool,
}
