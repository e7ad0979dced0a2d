//! The connections behind a mesh in the status.

use serde::Serialize;

use crate::{
    observe::decisions::Decision,
    upstream::{
        PoolHandle,
        mesh::report::{MeshStatus, NodeReport, ReplicaStatus},
    },
};

/// The connections of all workers and one pool behind a mesh, at most a second or two old.
#[derive(Clone, Debug, Serialize)]
pub struct MeshView {
    /// How long a new connection may take now, in milliseconds.
    pub connect_timeout_ms: f64,
    /// After what time a second one is opened beside it, in milliseconds.
    pub late_after_ms: f64,
    /// The number of warm connections kept to each node in use.
    pub warm: usize,
    /// How often a second connection was opened because the first was late.
    pub races: u64,
    /// How often the second one was open first.
    pub races_won: u64,
    /// Connections whose replica is not known.
    pub unknown_connections: usize,
    /// The replicas, by name; beyond a number they are one, `others`.
    pub replicas: Vec<ReplicaView>,
}

/// One replica behind a mesh.
#[derive(Clone, Debug, Serialize)]
pub struct ReplicaView {
    /// How it names itself, without control characters and not too long.
    pub name: String,
    /// The connections that lead to it.
    pub connections: usize,
    /// Its responses to requests since it appeared.
    pub responses: u64,
    /// The server errors among them.
    pub server_errors: u64,
    /// Its share of the requests of the last ten seconds, 0.0 to 1.0; `None` if there were none.
    pub share: Option<f64>,
    /// Whether it is ejected, by one worker at least.
    pub ejected: bool,
    /// How often workers ejected it.
    pub ejections: u64,
    /// Whether requests avoid it, on one worker at least, because a connection to it did not answer.
    pub suspect: bool,
    /// How often that began.
    pub suspicions: u64,
}

/// The connections to one node of a mesh.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NodeView {
    /// Open ones.
    pub open: usize,
    /// Those that are idle: spare ones for the next requests.
    pub spare: usize,
    /// Those of them that requests may use.
    pub ready: usize,
    /// Those that are being opened.
    pub opening: usize,
    /// Whether requests avoid the node, on one worker at least, because a connection to it did not answer.
    pub suspect: bool,
    /// How often that began.
    pub suspicions: u64,
}

impl MeshView {
    pub(super) fn new(pool: &PoolHandle, status: &MeshStatus) -> Self {
        Self {
            connect_timeout_ms: status.connect_timeout.as_secs_f64() * 1e3,
            late_after_ms: status.late_after.as_secs_f64() * 1e3,
            warm: status.warm,
            races: pool.decided(Decision::Raced),
            races_won: pool.decided(Decision::RaceWon),
            unknown_connections: status.unknown,
            replicas: status.replicas.iter().map(ReplicaView::new).collect(),
        }
    }
}

impl ReplicaView {
    fn new(replica: &ReplicaStatus) -> Self {
        Self {
            name: replica.name.clone(),
            connections: replica.connections,
            responses: replica.responses,
            server_errors: replica.errors,
            share: replica.share,
            ejected: replica.ejected,
            ejections: replica.ejections,
            suspect: replica.suspect,
            suspicions: replica.suspicions,
        }
    }
}

impl NodeView {
    pub(super) fn new(node: &NodeReport) -> Self {
        let NodeReport { open, idle, ready, opening, suspect, suspicions, .. } = *node;
        Self { open, spare: idle, ready, opening, suspect, suspicions }
    }
}
