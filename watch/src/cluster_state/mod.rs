//! One moment of the swarm as a value: what `/api/swarm` says, and what rules judge.
//!
//! This is the allow-list: the engine's answers hold environment, secrets and labels, and what has no
//! field here is not passed on. The shape is stable: fields are added, never renamed or removed. Times
//! are milliseconds since 1970 in UTC, other units are in the name. Maps are keyed by the engine's ids.

mod alerts;
mod delta;
mod services;
mod system;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::{
    alerts::{Alert, AlertState},
    delta::{Changes, Delta},
    services::{Health, Image, Mode, Service, Task, TaskState, Update, UpdateState},
    system::{Certificate, Edge, Endpoint, Pool, Redis, RedisServer, Role},
};

/// Milliseconds since 1970 in UTC.
pub type Millis = i64;

/// All that is known at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterState {
    /// Where the cluster state comes from and how old it is.
    pub source: Source,
    /// The managers' consensus.
    pub quorum: Quorum,
    /// Machines, also those that are down.
    pub nodes: BTreeMap<String, Node>,
    /// What should run.
    pub services: BTreeMap<String, Service>,
    /// What runs, and what the engine still remembers of what ran before.
    pub tasks: BTreeMap<String, Task>,
    /// The count's servers; `None` where none are configured.
    pub redis: Option<Redis>,
    /// The edges by address; empty where none are configured.
    pub edges: BTreeMap<String, Edge>,
    /// What is wrong, by fingerprint. Rules do not look at it.
    pub alerts: BTreeMap<String, Alert>,
    /// What happened, the oldest first; at most [`ClusterState::TIMELINE`] entries.
    pub timeline: Vec<Event>,
}

impl ClusterState {
    /// How many events are kept.
    pub const TIMELINE: usize = 300;
}

/// Who made the cluster state, of what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// This process, the same from its start to its end.
    pub instance: String,
    /// Id of the node it runs on; empty until the engine has told.
    pub node: String,
    /// Whether this instance's node is the leader.
    pub leader: bool,
    /// When the engine last answered with nodes, services and tasks; `None` if it never did.
    pub at: Option<Millis>,
    /// Why there is no newer cluster state: no quorum, no engine, a slow one. `None` while all is well.
    pub error: Option<String>,
    /// Since when it fails.
    pub failing_since: Option<Millis>,
}

/// The managers' consensus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// Managers that the swarm counts.
    pub managers: u32,
    /// Of these, reachable.
    pub reachable: u32,
    /// Nothing can be changed: fewer than half and one are reachable.
    pub lost: bool,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its host name.
    pub hostname: String,
    /// Where others reach it, without a port.
    pub address: Option<String>,
    /// `manager` or `worker`.
    pub role: NodeRole,
    /// Leads the managers.
    pub leader: bool,
    /// As the other managers see it; `None` for workers.
    pub reachable: Option<bool>,
    /// Whether the swarm hears of it.
    pub state: NodeState,
    /// What an operator wants of it.
    pub availability: Availability,
    /// What the engine says about its state.
    pub message: Option<String>,
    /// Since when it is in this state, as far as this process has seen.
    pub since: Option<Millis>,
    /// Version of its engine.
    pub engine: Option<String>,
    /// Operating system and architecture, as `linux/x86_64`.
    pub platform: Option<String>,
    /// CPUs, in billionths.
    pub nano_cpus: Option<i64>,
    /// Memory.
    pub memory_bytes: Option<i64>,
    /// Room for images and volumes; `None` where no instance of this program runs on the node.
    pub disk: Option<Disk>,
}

impl Node {
    /// New visitors may be sent to it: the routing mesh answers there. A new leader knows nothing of any node for a
    /// while; then one counts unless the other managers do not reach it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let is_there = match self.state {
            NodeState::Ready => true,
            NodeState::Unknown => self.reachable != Some(false),
            NodeState::Down | NodeState::Disconnected => false,
        };
        is_there && self.availability != Availability::Drain
    }
}

/// What a node is to the swarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// Takes part in decisions.
    Manager,
    /// Runs tasks only.
    #[default]
    Worker,
}

/// Whether the swarm hears of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Not told.
    #[default]
    Unknown,
    /// Heard nothing for a while.
    Down,
    /// Heard of lately.
    Ready,
    /// Will not be heard again.
    Disconnected,
}

/// What an operator wants of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    /// Gets tasks.
    #[default]
    Active,
    /// Keeps its tasks and gets no more.
    Pause,
    /// Its tasks move elsewhere.
    Drain,
}

/// Room on a node's disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// All of it.
    pub total_bytes: u64,
    /// What may still be written.
    pub free_bytes: u64,
}

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Grows with each event of one instance.
    pub id: u64,
    /// When it was seen.
    pub at: Millis,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
    /// The node that it is about.
    pub node: Option<String>,
    /// The service that it is about.
    pub service: Option<String>,
    /// The task that it is about.
    pub task: Option<String>,
}

/// How much an event or an alert matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    #[default]
    Info,
    /// Somebody should look, soon.
    Warning,
    /// Somebody should look now.
    Critical,
}
