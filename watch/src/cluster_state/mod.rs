//! The state of the whole cluster as one value: served by `/api/swarm`, and evaluated by the alert rules.
//!
//! This is an allow-list: the engine's responses contain environment, secrets and labels, and data without a
//! field here is not passed on. The JSON format is stable: fields are added, never renamed or removed. Times
//! are milliseconds since 1970 in UTC; other units are part of the name. Maps are keyed by the engine's ids.

mod alerts;
mod delta;
mod events;
mod nodes;
mod services;
mod system;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::{
    alerts::{Alert, AlertState},
    delta::{Changes, Delta},
    events::{Event, Severity},
    nodes::{Availability, Disk, Node, NodeRole, NodeState},
    services::{Health, Image, Job, Mode, Service, Task, TaskState, Update, UpdateState},
    system::{Certificate, Edge, Endpoint, Pool, Redis, RedisServer, Role},
};
pub use crate::clock::Millis;

/// Everything known about the cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterState {
    /// Origin and age of the data.
    pub source: Source,
    /// The managers' consensus.
    pub quorum: Quorum,
    /// Nodes, including those that are down.
    pub nodes: BTreeMap<String, Node>,
    /// Services.
    pub services: BTreeMap<String, Service>,
    /// Tasks, including earlier ones that the engine still remembers.
    pub tasks: BTreeMap<String, Task>,
    /// The counter's Redis servers; `None` if Redis is not configured.
    pub redis: Option<Redis>,
    /// Edges by address; empty if no edges are configured.
    pub edges: BTreeMap<String, Edge>,
    /// Alerts by fingerprint. Rules do not read them.
    pub alerts: BTreeMap<String, Alert>,
    /// Events, oldest first; at most [`ClusterState::TIMELINE`].
    pub timeline: Vec<Event>,
}

impl ClusterState {
    /// Maximum number of events kept.
    pub const TIMELINE: usize = 300;
}

/// Origin and age of a cluster state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Id of this process.
    pub instance: String,
    /// Id of the node this process runs on; empty until the engine has reported it.
    pub node: String,
    /// Whether this node is the leader.
    pub leader: bool,
    /// When the engine last returned nodes, services and tasks; `None` if it never did.
    pub at: Option<Millis>,
    /// Why there is no newer data, such as no quorum, no engine or a timeout; `None` while the engine answers.
    pub error: Option<String>,
    /// When the failures began.
    pub failing_since: Option<Millis>,
}

/// The managers' consensus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// Number of managers.
    pub managers: u32,
    /// Number of reachable managers.
    pub reachable: u32,
    /// Whether fewer than a majority of the managers are reachable, so that the swarm cannot change anything.
    pub lost: bool,
}
