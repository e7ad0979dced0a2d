//! What stands beside the swarm: the count's servers and the edges.

use serde::{Deserialize, Serialize};

use super::Millis;

/// The servers that keep the count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redis {
    /// When somebody last answered.
    pub at: Option<Millis>,
    /// The number last told; `None` if it cannot be read, or nobody has visited yet.
    pub count: Option<u64>,
    /// Address of the master that the sentinels agree on.
    pub master: Option<String>,
    /// Sentinels that are asked.
    pub sentinels: u32,
    /// Of these, those that answer.
    pub sentinels_up: u32,
    /// Master and replicas, ordered by address.
    pub servers: Vec<RedisServer>,
    /// Why something is not known.
    pub error: Option<String>,
}

/// One Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisServer {
    /// Host and port.
    pub address: String,
    /// What it is.
    pub role: Role,
    /// It answers, and a replica hears its master.
    pub up: bool,
    /// Bytes that it is behind the master.
    pub lag_bytes: Option<u64>,
}

/// What a Redis is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Copies the master.
    #[default]
    Replica,
    /// Takes the writes.
    Master,
}

/// One edge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Id of the node it runs on, where known.
    pub node: Option<String>,
    /// When it last answered.
    pub at: Option<Millis>,
    /// It serves.
    pub ready: bool,
    /// Why it does not.
    pub reasons: Vec<String>,
    /// Its version.
    pub version: Option<String>,
    /// Requests since its start.
    pub requests: u64,
    /// Where it sends them.
    pub pools: Vec<Pool>,
    /// What it shows to clients.
    pub certificates: Vec<Certificate>,
    /// Why it does not answer.
    pub error: Option<String>,
}

/// One pool of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Too few are healthy, so all are used.
    pub panic: bool,
    /// How many endpoints get requests.
    pub usable: u32,
    /// Who they are, ordered by address.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address and port.
    pub address: String,
    /// The edge's word for how it is: `healthy`, `unhealthy`, `ejected` and so on.
    pub state: String,
    /// It gets requests.
    pub usable: bool,
    /// Why not.
    pub reason: Option<String>,
}

/// One certificate of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// What it is good for.
    pub names: Vec<String>,
    /// When it ends.
    pub not_after: Option<Millis>,
    /// The edge made it for lack of one.
    pub self_signed: bool,
}
