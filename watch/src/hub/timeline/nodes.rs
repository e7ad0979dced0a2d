//! Nodes that come, go, change, and lead.

use super::event;
use crate::cluster_state::{Availability, ClusterState, Event, Node, NodeRole, NodeState, Severity};

pub(super) fn events(before: &ClusterState, after: &ClusterState, events: &mut Vec<Event>) {
    for (id, node) in &after.nodes {
        let found = match before.nodes.get(id) {
            None => vec![(Severity::Info, "joined the swarm".to_owned())],
            Some(before) => changes(before, node),
        };
        let name = name(id, node);
        events.extend(found.into_iter().map(|(severity, what)| about(id, severity, format!("{name} {what}"))));
    }
    for (id, node) in before.nodes.iter().filter(|(id, _node)| !after.nodes.contains_key(*id)) {
        events.push(about(id, Severity::Warning, format!("{} was removed from the swarm", name(id, node))));
    }
    leader(before, after, events);
}

fn about(id: &str, severity: Severity, text: String) -> Event {
    Event { node: Some(id.to_owned()), ..event(severity, text) }
}

pub(super) fn name<'a>(id: &'a str, node: &'a Node) -> &'a str {
    if node.hostname.is_empty() { id } else { &node.hostname }
}

fn changes(before: &Node, after: &Node) -> Vec<(Severity, String)> {
    let mut found = Vec::new();
    if before.state != after.state {
        let message = after.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        found.push(match after.state {
            NodeState::Ready => (Severity::Info, "is ready".to_owned()),
            NodeState::Down => (Severity::Critical, format!("is down{message}")),
            NodeState::Disconnected => (Severity::Critical, format!("is disconnected{message}")),
            NodeState::Unknown => (Severity::Warning, format!("is in an unknown state{message}")),
        });
    }
    if before.availability != after.availability {
        found.push(match after.availability {
            Availability::Active => (Severity::Info, "gets tasks again".to_owned()),
            Availability::Pause => (Severity::Info, "is paused: it gets no new tasks".to_owned()),
            Availability::Drain => (Severity::Info, "is drained: its tasks move elsewhere".to_owned()),
        });
    }
    if before.role != after.role {
        found.push(match after.role {
            NodeRole::Manager => (Severity::Info, "is a manager now".to_owned()),
            NodeRole::Worker => (Severity::Info, "is a worker now".to_owned()),
        });
    }
    match (before.reachable, after.reachable) {
        (Some(true), Some(false)) => {
            found.push((Severity::Critical, "cannot be reached by the other managers".to_owned()));
        }
        (Some(false), Some(true)) => {
            found.push((Severity::Info, "can be reached by the other managers again".to_owned()));
        }
        _ => {}
    }
    if let (Some(before), Some(after)) = (&before.engine, &after.engine)
        && before != after
    {
        found.push((Severity::Info, format!("runs engine {after}, and ran {before}")));
    }
    found
}

/// Told once, of the new one.
fn leader(before: &ClusterState, after: &ClusterState, events: &mut Vec<Event>) {
    let leader = |cluster: &ClusterState| {
        let found = cluster.nodes.iter().find(|(_id, node)| node.leader);
        found.map(|(id, node)| (id.clone(), name(id, node).to_owned()))
    };
    match (leader(before), leader(after)) {
        (before, Some((id, name))) if before.as_ref().map(|(id, _name)| id) != Some(&id) => {
            events.push(about(&id, Severity::Warning, format!("{name} leads the managers now")));
        }
        (Some((id, name)), None) => {
            events.push(about(&id, Severity::Warning, format!("{name} leads the managers no more, and nobody does")));
        }
        _ => {}
    }
}
