//! Changes of the counter's Redis servers.

use super::event::event;
use crate::cluster_state::{ClusterState, Event, Redis, Severity};

pub(super) fn events(before: &ClusterState, after: &ClusterState, events: &mut Vec<Event>) {
    let (Some(before), Some(after)) = (&before.redis, &after.redis) else { return };
    match (&before.master, &after.master) {
        (Some(old), Some(new)) if old != new => {
            events.push(event(Severity::Warning, format!("Redis: {new} is now the master (was {old})")));
        }
        (Some(old), None) => {
            events.push(event(Severity::Critical, format!("Redis: there is no known master (was {old})")));
        }
        // Not at the start.
        (None, Some(new)) if before.at.is_some() => {
            events.push(event(Severity::Info, format!("Redis: {new} is the master")));
        }
        _ => {}
    }
    let down = |redis: &Redis| {
        redis.servers.iter().filter(|server| !server.up).map(|server| server.address.clone()).collect::<Vec<_>>()
    };
    let (was, is) = (down(before), down(after));
    let known = |redis: &Redis, address: &str| redis.servers.iter().any(|server| server.address == address);
    for address in is.iter().filter(|address| !was.contains(address) && known(before, address)) {
        events.push(event(Severity::Warning, format!("Redis: {address} is down")));
    }
    for address in was.iter().filter(|address| !is.contains(address) && known(after, address)) {
        events.push(event(Severity::Info, format!("Redis: {address} is up again")));
    }
}
