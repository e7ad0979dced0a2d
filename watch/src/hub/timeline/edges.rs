//! Changes of the edges and their pools.

use super::event::event;
use crate::cluster_state::{ClusterState, Edge, Event, Severity};

pub(super) fn events(before: &ClusterState, after: &ClusterState, events: &mut Vec<Event>) {
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
                format!("is in panic mode for {name}: too few endpoints are healthy, so it uses all of them"),
            )),
            (true, false) => found.push((Severity::Info, format!("has enough healthy endpoints for {name} again"))),
            _ => {}
        }
        match (before.usable, pool.usable) {
            (1.., 0) => found.push((Severity::Critical, format!("has no usable endpoint left for {name}"))),
            (0, 1..) => found.push((Severity::Info, format!("has usable endpoints for {name} again"))),
            _ => {}
        }
    }
    found
}
