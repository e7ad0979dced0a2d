//! Changes of nodes and of the leader.

use super::event::{event, node_name};
use crate::cluster_state::{Availability, ClusterState, Event, Node, NodeRole, NodeState, Severity};

pub(super) fn events(before: &ClusterState, after: &ClusterState, events: &mut Vec<Event>) {
    for (id, node) in &after.nodes {
        let found = match before.nodes.get(id) {
            None => vec![(Severity::Info, "joined the swarm".to_owned())],
            Some(before) => changes(before, node),
        };
        let name = node_name(id, node);
        events.extend(found.into_iter().map(|(severity, what)| about(id, severity, format!("{name} {what}"))));
    }
    for (id, node) in before.nodes.iter().filter(|(id, _node)| !after.nodes.contains_key(*id)) {
        events.push(about(id, Severity::Warning, format!("{} was removed from the swarm", node_name(id, node))));
    }
    leader(before, after, events);
}

fn about(id: &str, severity: Severity, text: String) -> Event {
    Event { node: Some(id.to_owned()), ..event(severity, text) }
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
            Availability::Active => (Severity::Info, "receives tasks again".to_owned()),
            Availability::Pause => (Severity::Info, "is paused: it receives no new tasks".to_owned()),
            Availability::Drain => (Severity::Info, "is drained: its tasks move to other nodes".to_owned()),
        });
    }
    if before.role != after.role {
        found.push(match after.role {
            NodeRole::Manager => (Severity::Info, "is now a manager".to_owned()),
            NodeRole::Worker => (Severity::Info, "is now a worker".to_owned()),
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
        found.push((Severity::Info, format!("now runs engine {after} (was {before})")));
    }
    found
}

/// Adds one event for a change of the leader, about the new leader.
fn leader(before: &ClusterState, after: &ClusterState, events: &mut Vec<Event>) {
    let leader = |cluster: &ClusterState| {
        let found = cluster.nodes.iter().find(|(_id, node)| node.leader);
        found.map(|(id, node)| (id.clone(), node_name(id, node).to_owned()))
    };
    match (leader(before), leader(after)) {
        (before, Some((id, name))) if before.as_ref().map(|(id, _name)| id) != Some(&id) => {
            events.push(about(&id, Severity::Warning, format!("{name} is now the leader")));
        }
        (Some((id, name)), None) => {
            events.push(about(
                &id,
                Severity::Warning,
                format!("{name} is no longer the leader, and there is no other"),
            ));
        }
        _ => {}
    }
}
