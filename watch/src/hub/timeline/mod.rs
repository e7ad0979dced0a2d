//! Derives events from the difference between two cluster states. Pure.

mod edges;
mod event;
mod nodes;
mod redis;
mod services;
mod tasks;
#[cfg(test)]
mod tests;

use self::event::event;
use crate::cluster_state::{ClusterState, Event, Millis, Severity};

/// Maximum number of events of one update; the remaining ones are only counted. A node with a hundred tasks may
/// go down in one update.
const MAX_EVENTS: usize = 30;

/// Returns the events that lead from `before` to `after`, noticed at `now`. They have no ids yet.
pub(super) fn events_between(before: &ClusterState, after: &ClusterState, now: Millis) -> Vec<Event> {
    let mut events = Vec::new();
    source(before, after, &mut events);
    // At the start everything is new, but nothing has just happened.
    if before.source.at.is_some() {
        nodes::events(before, after, &mut events);
        services::events(before, after, &mut events);
        tasks::events(before, after, &mut events);
    }
    redis::events(before, after, &mut events);
    edges::events(before, after, &mut events);
    // The most severe first, in case there are too many.
    events.sort_by_key(|event| std::cmp::Reverse(event.severity));
    let surplus = events.len().saturating_sub(MAX_EVENTS);
    if surplus > 0 {
        events.truncate(MAX_EVENTS);
        let severity = Severity::Info;
        events.push(Event { severity, text: format!("and {surplus} more changes at once"), ..Event::default() });
    }
    for event in &mut events {
        event.at = now;
    }
    events
}

/// Adds events of the engine and of the managers' consensus.
fn source(before: &ClusterState, after: &ClusterState, events: &mut Vec<Event>) {
    match (&before.source.error, &after.source.error) {
        (None, Some(error)) => {
            events.push(event(Severity::Critical, format!("cannot update the state of the swarm: {error}")));
        }
        (Some(before), Some(after)) if before != after => {
            events.push(event(Severity::Critical, format!("still cannot update the state of the swarm: {after}")));
        }
        (Some(_), None) => {
            events.push(event(Severity::Info, "the engine reports the state of the swarm again".to_owned()));
        }
        _ => {}
    }
    match (before.quorum.lost, after.quorum.lost) {
        (false, true) => events.push(event(Severity::Critical, "the managers have lost their quorum".to_owned())),
        (true, false) => events.push(event(Severity::Info, "the managers have a quorum again".to_owned())),
        _ => {}
    }
}
