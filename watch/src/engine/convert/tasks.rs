//! Tasks and their addresses.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use super::{
    super::wire,
    field::{message, millis},
    image::image,
};
use crate::cluster_state::{Health, Node, Task, TaskState};

/// Length of an id that stands in for an unknown name.
const SHORT_ID: usize = 12;

/// Converts tasks; `names` maps ids of services to their names.
pub(super) fn tasks(
    list: &[wire::Task],
    names: &HashMap<String, String>,
    nodes: &BTreeMap<String, Node>,
) -> BTreeMap<String, Task> {
    let entries = list.iter().filter(|entry| !entry.id.is_empty());
    let tasks = entries.map(|entry| {
        let short = || entry.service_id.get(..SHORT_ID).unwrap_or(&entry.service_id);
        let service = names.get(&entry.service_id).map_or_else(short, String::as_str);
        let hostname = nodes.get(&entry.node_id).map(|node| node.hostname.as_str());
        (entry.id.clone(), task(entry, service, hostname.unwrap_or(&entry.node_id)))
    });
    tasks.collect()
}

fn task(entry: &wire::Task, service: &str, hostname: &str) -> Task {
    let status = &entry.status;
    let state = state(&status.state);
    // Slots start at 1; the engine omits a zero.
    let slot = entry.slot.filter(|slot| *slot > 0);
    let container = entry.spec.container_spec.as_ref();
    let ended = state >= TaskState::Complete;
    let error = message(status.err.as_ref());
    let is_checked =
        container.and_then(|container| container.healthcheck.as_ref()).is_some_and(wire::HealthCheck::is_enabled);
    Task {
        name: match slot {
            Some(slot) => format!("{service}.{slot}"),
            None => format!("{service}.{hostname}"),
        },
        service: entry.service_id.clone(),
        slot,
        node: (!entry.node_id.is_empty()).then(|| entry.node_id.clone()),
        state,
        desired: self::state(&entry.desired_state),
        health: health(state, is_checked, error.as_deref()),
        image: image(container.map(|container| container.image.as_str()).unwrap_or_default()),
        created_at: millis(entry.created_at.as_ref()),
        since: millis(status.timestamp.as_ref()),
        restarts: 0,
        message: message(status.message.as_ref()),
        error,
        // The engine reports an exit code of zero from the start.
        exit_code: status.container_status.as_ref().filter(|_| ended).and_then(|status| status.exit_code),
    }
}

pub(super) fn state(text: &str) -> TaskState {
    match text {
        "new" => TaskState::New,
        "allocated" => TaskState::Allocated,
        "pending" => TaskState::Pending,
        "assigned" => TaskState::Assigned,
        "accepted" => TaskState::Accepted,
        "preparing" => TaskState::Preparing,
        "ready" => TaskState::Ready,
        "starting" => TaskState::Starting,
        "running" => TaskState::Running,
        "complete" => TaskState::Complete,
        "shutdown" => TaskState::Shutdown,
        "failed" => TaskState::Failed,
        "rejected" => TaskState::Rejected,
        "remove" => TaskState::Remove,
        "orphaned" => TaskState::Orphaned,
        _ => TaskState::Unknown,
    }
}

/// The engine does not report a check defined by the image, but it reports its failure.
fn health(state: TaskState, is_checked: bool, error: Option<&str>) -> Health {
    match state {
        TaskState::Running if is_checked => Health::Healthy,
        TaskState::Starting if is_checked => Health::Starting,
        TaskState::Failed if error.is_some_and(|error| error.contains("unhealthy")) => Health::Unhealthy,
        _ => Health::None,
    }
}

/// Node id by address of a running task. Another task may reuse the address of a task that has ended.
pub(super) fn addresses(list: &[wire::Task]) -> HashMap<IpAddr, String> {
    let running = list.iter().filter(|entry| state(&entry.status.state) == TaskState::Running);
    running
        .filter(|entry| state(&entry.desired_state) == TaskState::Running && !entry.node_id.is_empty())
        .flat_map(|entry| entry.addresses().map(|address| (address, entry.node_id.clone())))
        .collect()
}
