//! Converts the engine's lists to the types of the cluster state. Pure, except for what [`Converter`] remembers
//! between two polls.

mod field;
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
};

use self::restarts::RestartCounter;
use super::client::Lists;
use crate::{
    clock::Millis,
    cluster_state::{Node, Quorum, Service, Task},
};

/// The part of the cluster state that comes from the engine.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Swarm {
    /// The managers' consensus.
    pub quorum: Quorum,
    /// Nodes by id.
    pub nodes: BTreeMap<String, Node>,
    /// Services by id.
    pub services: BTreeMap<String, Service>,
    /// Tasks by id.
    pub tasks: BTreeMap<String, Task>,
    /// Node id by the overlay address of a running task.
    pub addresses: HashMap<IpAddr, String>,
}

/// Converts lists, and remembers what a single poll does not contain.
#[derive(Debug, Default)]
pub(super) struct Converter {
    /// State of each node and when the node entered it.
    since: BTreeMap<String, nodes::Since>,
    /// Names of services, including removed ones that still have tasks.
    names: HashMap<String, String>,
    restarts: RestartCounter,
}

impl Converter {
    /// Converts `lists`, polled at `now`.
    pub(super) fn swarm(&mut self, lists: &Lists, now: Millis) -> Swarm {
        let nodes = nodes::nodes(&lists.nodes, &mut self.since, now);
        let named = lists.services.iter().map(|service| (service.id.clone(), service.spec.name.clone()));
        self.names.extend(named);
        let of_tasks: HashSet<&str> = lists.tasks.iter().map(|task| task.service_id.as_str()).collect();
        let of_services: HashSet<&str> = lists.services.iter().map(|service| service.id.as_str()).collect();
        self.names.retain(|id, _name| of_tasks.contains(id.as_str()) || of_services.contains(id.as_str()));
        let mut tasks = tasks::tasks(&lists.tasks, &self.names, &nodes);
        self.restarts.count(&mut tasks);
        Swarm {
            quorum: nodes::quorum(&nodes),
            services: services::services(&lists.services, &lists.tasks, &tasks),
            addresses: tasks::addresses(&lists.tasks),
            nodes,
            tasks,
        }
    }
}
