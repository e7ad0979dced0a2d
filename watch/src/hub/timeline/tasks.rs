//! Tasks that fail or move to another node.

use std::collections::HashMap;

use super::event::{event, node_name};
use crate::cluster_state::{ClusterState, Event, Severity, Task, TaskState};

pub(super) fn events(before: &ClusterState, after: &ClusterState, events: &mut Vec<Event>) {
    let last = last_tasks(before);
    for (id, task) in &after.tasks {
        let was = before.tasks.get(id).map(|task| task.state);
        if was == Some(task.state) {
            continue;
        }
        let change = match task.state {
            TaskState::Failed => Some((Severity::Warning, format!("failed{}", reason(task)))),
            TaskState::Rejected => Some((Severity::Warning, format!("was rejected{}", reason(task)))),
            TaskState::Orphaned => Some((Severity::Warning, "is orphaned: its node is gone".to_owned())),
            TaskState::Running => moved(task, &last, after).map(|text| (Severity::Info, text)),
            _ => None,
        };
        let Some((severity, what)) = change else { continue };
        events.push(Event {
            node: task.node.clone(),
            service: Some(task.service.clone()),
            task: Some(id.clone()),
            ..event(severity, format!("{} {what}", task.name))
        });
    }
}

fn reason(task: &Task) -> String {
    task.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default()
}

/// Returns the newest task of each slot that ran or was assigned to run.
fn last_tasks(cluster: &ClusterState) -> HashMap<(&str, u64), &Task> {
    let mut last: HashMap<(&str, u64), &Task> = HashMap::new();
    for task in cluster.tasks.values().filter(|task| task.state >= TaskState::Running) {
        let Some(slot) = task.slot else { continue };
        let newest = last.entry((&task.service, slot)).or_insert(task);
        if task.created_at > newest.created_at {
            *newest = task;
        }
    }
    last
}

/// Describes the move of a task to another node than the task before it in its slot.
fn moved(task: &Task, last: &HashMap<(&str, u64), &Task>, after: &ClusterState) -> Option<String> {
    let before = last.get(&(task.service.as_str(), task.slot?))?.node.as_ref()?;
    let node = task.node.as_ref().filter(|node| *node != before)?;
    let name = |id: &String| after.nodes.get(id).map_or(id.clone(), |node| node_name(id, node).to_owned());
    Some(format!("now runs on {} (was on {})", name(node), name(before)))
}
