//! What happened between two cluster states. Pure.

mod edges;
mod nodes;
mod services;
mod tasks;
#[cfg(test)]
mod tests;

use crate::cluster_state::{ClusterState, Event, Millis, Severity};

/// The most that one step is told as; what is beyond is counted. A node with a hundred tasks goes down in
/// one step.
const MOST: usize = 30;

/// What happened from `before` to `after`, as seen at `now`. Events have no id yet.
pub(super) fn events_between(before: &ClusterState, after: &ClusterState, now: Millis) -> Vec<Event> {
    let mut events = Vec::new();
    source(before, after, &mut events);
    // At the start everything is new, and nothing of it has happened now.
    if before.source.at.is_some() {
        nodes::events(before, after, &mut events);
        services::events(before, after, &mut events);
        tasks::events(before, after, &mut events);
    }
    edges::redis(before, after, &mut events);
    edges::edges(before, after, &mut events);
    // The most important first, in case there are too many.
    events.sort_by_key(|event| std::cmp::Reverse(event.severity));
    let surplus = events.len().saturating_sub(MOST);
    if surplus > 0 {
        events.truncate(MOST);
        let severity = Severity::Info;
        events.push(Event { severity, text: format!("and {surplus} more changes at once"), ..Event::default() });
    }
    for event in &mut events {
        event.at = now;
    }
    events
}

fn event(severity: Severity, text: String) -> Event {
    Event { severity, text, ..Event::default() }
}

/// The engine itself, and the managers' consensus.
fn source(before: &ClusterState, after: &ClusterState, events: &mut Vec<Event>) {
    match (&before.source.error, &after.source.error) {
        (None, Some(error)) => events.push(event(Severity::Critical, format!("nothing new of the swarm: {error}"))),
        (Some(before), Some(after)) if before != after => {
            events.push(event(Severity::Critical, format!("still nothing new of the swarm: {after}")));
        }
        (Some(_), None) => events.push(event(Severity::Info, "the engine tells of the swarm again".to_owned())),
        _ => {}
    }
    match (before.quorum.lost, after.quorum.lost) {
        (false, true) => events.push(event(Severity::Critical, "the managers have lost their quorum".to_owned())),
        (true, false) => events.push(event(Severity::Info, "the managers have a quorum again".to_owned())),
        _ => {}
    }
}
