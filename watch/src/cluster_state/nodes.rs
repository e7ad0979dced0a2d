//! Nodes.

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// A node of the swarm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Host name.
    pub hostname: String,
    /// Address at which other nodes reach it, without a port.
    pub address: Option<String>,
    /// Manager or worker.
    pub role: NodeRole,
    /// Whether it is the leader of the managers.
    pub leader: bool,
    /// Whether the other managers reach it; `None` for workers.
    pub reachable: Option<bool>,
    /// Whether the swarm receives its heartbeats.
    pub state: NodeState,
    /// Availability set by an operator.
    pub availability: Availability,
    /// The engine's message about its state.
    pub message: Option<String>,
    /// Start of its current state, as far as this process has seen.
    pub since: Option<Millis>,
    /// Engine version.
    pub engine: Option<String>,
    /// Operating system and architecture, such as `linux/x86_64`.
    pub platform: Option<String>,
    /// CPUs, in billionths of one.
    pub nano_cpus: Option<i64>,
    /// Memory in bytes.
    pub memory_bytes: Option<i64>,
    /// Disk space for images and volumes; `None` if no instance of watch runs on the node.
    pub disk: Option<Disk>,
}

impl Node {
    /// Whether new connections may be sent to it: its routing mesh answers. A newly elected leader reports every
    /// node as unknown for a while; an unknown node counts as ready unless the other managers cannot reach it.
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

/// Role of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// Takes part in the managers' consensus.
    Manager,
    /// Only runs tasks.
    #[default]
    Worker,
}

/// Whether the swarm receives a node's heartbeats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Not reported.
    #[default]
    Unknown,
    /// Heartbeats are missing.
    Down,
    /// Heartbeats arrive.
    Ready,
    /// Left the swarm.
    Disconnected,
}

/// Availability of a node, set by an operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Availability {
    /// Receives tasks.
    #[default]
    Active,
    /// Keeps its tasks and receives no new ones.
    Pause,
    /// Its tasks are moved to other nodes.
    Drain,
}

/// Disk space of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Size of the file system.
    pub total_bytes: u64,
    /// Space available to processes without privileges.
    pub free_bytes: u64,
}
