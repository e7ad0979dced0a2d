//! Tasks that fail, and that come up elsewhere.

use std::collections::HashMap;

use super::{event, nodes::name};
use crate::cluster_state::{ClusterState, Event, Severity, Task, TaskState};

pub(super) fn events(before: &ClusterState, after: &ClusterState, events: &mut Vec<Event>) {
    let places = places(before);
    for (id, task) in &after.tasks {
        let was = before.tasks.get(id).map(|task| task.state);
        if was == Some(task.state) {
            continue;
        }
        let told = match task.state {
            TaskState::Failed => Some((Severity::Warning, format!("failed{}", reason(task)))),
            TaskState::Rejected => Some((Severity::Warning, format!("was rejected{}", reason(task)))),
            TaskState::Orphaned => Some((Severity::Warning, "is given up with its node".to_owned())),
            TaskState::Running => moved(task, &places, after).map(|text| (Severity::Info, text)),
            _ => None,
        };
        let Some((severity, what)) = told else { continue };
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

/// The node on which each replica ran last, or was to.
fn places(cluster: &ClusterState) -> HashMap<(&str, u64), &Task> {
    let mut places: HashMap<(&str, u64), &Task> = HashMap::new();
    for task in cluster.tasks.values().filter(|task| task.state >= TaskState::Running) {
        let Some(slot) = task.slot else { continue };
        let newest = places.entry((&task.service, slot)).or_insert(task);
        if task.created_at > newest.created_at {
            *newest = task;
        }
    }
    places
}

/// That it runs on another node than the one before it.
fn moved(task: &Task, places: &HashMap<(&str, u64), &Task>, after: &ClusterState) -> Option<String> {
    let before = places.get(&(task.service.as_str(), task.slot?))?.node.as_ref()?;
    let node = task.node.as_ref().filter(|node| *node != before)?;
    let called = |id: &String| after.nodes.get(id).map_or(id.clone(), |node| name(id, node).to_owned());
    Some(format!("runs on {} now, and ran on {}", called(node), called(before)))
}
