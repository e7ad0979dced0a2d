//! From the engine's lists to the cluster state. Pure, but for what is remembered from one moment to the next.

mod image;
mod nodes;
mod restarts;
mod services;
mod tasks;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    time::UNIX_EPOCH,
};

use self::restarts::Places;
use super::client::Lists;
use crate::cluster_state::{Millis, Node, Quorum, Service, Task};

/// What the engine's lists make of a cluster state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Swarm {
    /// The managers' consensus.
    pub quorum: Quorum,
    /// By id.
    pub nodes: BTreeMap<String, Node>,
    /// By id.
    pub services: BTreeMap<String, Service>,
    /// By id.
    pub tasks: BTreeMap<String, Task>,
    /// The node of each address that a running task has on an overlay network.
    pub addresses: HashMap<IpAddr, String>,
}

/// What one moment alone does not tell.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Since when each node is in its state.
    since: BTreeMap<String, nodes::Since>,
    /// Names of services, also of those that are gone while tasks of theirs are still there.
    names: HashMap<String, String>,
    places: Places,
}

impl Memory {
    /// The swarm as `lists` have it at `now`.
    pub(super) fn swarm(&mut self, lists: &Lists, now: Millis) -> Swarm {
        let nodes = nodes::nodes(&lists.nodes, &mut self.since, now);
        let named = lists.services.iter().map(|service| (service.id.clone(), service.spec.name.clone()));
        self.names.extend(named);
        let of_tasks: HashSet<&str> = lists.tasks.iter().map(|task| task.service_id.as_str()).collect();
        let of_services: HashSet<&str> = lists.services.iter().map(|service| service.id.as_str()).collect();
        self.names.retain(|id, _name| of_tasks.contains(id.as_str()) || of_services.contains(id.as_str()));
        let mut tasks = tasks::tasks(&lists.tasks, &self.names, &nodes);
        self.places.count(&mut tasks);
        Swarm {
            quorum: nodes::quorum(&nodes),
            services: services::services(&lists.services, &tasks),
            addresses: tasks::addresses(&lists.tasks),
            nodes,
            tasks,
        }
    }
}

/// Reads a time of the engine. `None` for what is none, also for Go's zero, the year 1.
fn millis(text: Option<&String>) -> Option<Millis> {
    let time = humantime::parse_rfc3339(text?).ok()?;
    Millis::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// The engine's words about a thing, in bounds; `None` if there are none.
fn words(text: Option<&String>) -> Option<String> {
    const LONGEST: usize = 500;
    let text = text?.trim();
    (!text.is_empty()).then(|| text.chars().take(LONGEST).collect())
}
