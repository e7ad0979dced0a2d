//! What stands beside the swarm: the count's servers and the edges.

use super::event;
use crate::cluster_state::{ClusterState, Edge, Event, Redis, Severity};

pub(super) fn redis(before: &ClusterState, after: &ClusterState, events: &mut Vec<Event>) {
    let (Some(before), Some(after)) = (&before.redis, &after.redis) else { return };
    match (&before.master, &after.master) {
        (Some(old), Some(new)) if old != new => {
            events.push(event(Severity::Warning, format!("Redis: {new} is the master now, and {old} was")));
        }
        (Some(old), None) => {
            events.push(event(Severity::Critical, format!("Redis: no master is known; the last was {old}")));
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

pub(super) fn edges(before: &ClusterState, after: &ClusterState, events: &mut Vec<Event>) {
    for (address, edge) in &after.edges {
        let Some(before) = before.edges.get(address) else { continue };
        for (severity, what) in changes(before, edge) {
            let text = format!("edge {address} {what}");
            events.push(Event { node: edge.node.clone(), ..event(severity, text) });
        }
    }
}

fn changes(before: &Edge, after: &Edge) -> Vec<(Severity, String)> {
    let mut found = Vec::new();
    match (&before.error, &after.error) {
        (None, Some(error)) => found.push((Severity::Warning, format!("does not answer: {error}"))),
        (Some(_), None) => found.push((Severity::Info, "answers again".to_owned())),
        _ => {}
    }
    if before.ready && !after.ready && after.error.is_none() {
        let reasons = after.reasons.join("; ");
        found.push((Severity::Critical, format!("is not ready: {reasons}")));
    }
    if !before.ready && after.ready {
        found.push((Severity::Info, "is ready".to_owned()));
    }
    for pool in &after.pools {
        let Some(before) = before.pools.iter().find(|before| before.name == pool.name) else { continue };
        let name = &pool.name;
        match (before.panic, pool.panic) {
            (false, true) => found.push((
                Severity::Critical,
                format!("sends to all endpoints of {name}, since too few are healthy (panic)"),
            )),
            (true, false) => found.push((Severity::Info, format!("has healthy endpoints of {name} again"))),
            _ => {}
        }
        match (before.usable, pool.usable) {
            (1.., 0) => found.push((Severity::Critical, format!("has no usable endpoint of {name} left"))),
            (0, 1..) => found.push((Severity::Info, format!("has usable endpoints of {name} again"))),
            _ => {}
        }
    }
    found
}
