//! Nodes and the managers' consensus.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    super::wire,
    field::{message, millis},
};
use crate::{
    clock::Millis,
    cluster_state::{Availability, Node, NodeRole, NodeState, Quorum},
};

/// A node's state and when the node entered it.
pub(super) type Since = (NodeState, Option<Millis>);

pub(super) fn nodes(list: &[wire::Node], since: &mut BTreeMap<String, Since>, now: Millis) -> BTreeMap<String, Node> {
    let nodes: BTreeMap<_, _> = list
        .iter()
        .filter(|entry| !entry.id.is_empty())
        .map(|entry| {
            let state = state(&entry.status.state);
            let since = match since.get(&entry.id) {
                Some((before, since)) if *before == state => *since,
                Some(_) => Some(now),
                // A state change updates the node, so the state is not older than that.
                None => millis(entry.updated_at.as_ref()),
            };
            (entry.id.clone(), node(entry, state, since))
        })
        .collect();
    *since = nodes.iter().map(|(id, node)| (id.clone(), (node.state, node.since))).collect();
    nodes
}

fn node(entry: &wire::Node, state: NodeState, since: Option<Millis>) -> Node {
    let description = entry.description.as_ref();
    let manager = entry.manager_status.as_ref();
    Node {
        hostname: description.map(|description| description.hostname.clone()).unwrap_or_default(),
        address: address(entry),
        role: if entry.spec.role == "manager" { NodeRole::Manager } else { NodeRole::Worker },
        leader: manager.is_some_and(|manager| manager.leader),
        reachable: manager.map(|manager| manager.reachability == "reachable"),
        state,
        availability: match entry.spec.availability.as_str() {
            "pause" => Availability::Pause,
            "drain" => Availability::Drain,
            _ => Availability::Active,
        },
        message: message(entry.status.message.as_ref()),
        since,
        engine: description.and_then(|description| message(description.engine.engine_version.as_ref())),
        platform: description
            .map(|description| &description.platform)
            .filter(|platform| !platform.os.is_empty())
            .map(|platform| format!("{}/{}", platform.os, platform.architecture)),
        nano_cpus: description.and_then(|description| description.resources.nano_cpus),
        memory_bytes: description.and_then(|description| description.resources.memory_bytes),
        disk: None,
    }
}

fn state(text: &str) -> NodeState {
    match text {
        "ready" => NodeState::Ready,
        "down" => NodeState::Down,
        "disconnected" => NodeState::Disconnected,
        _ => NodeState::Unknown,
    }
}

/// The leader reports itself as 0.0.0.0; its address as a manager is used instead.
fn address(entry: &wire::Node) -> Option<String> {
    let own = entry.status.addr.as_deref().and_then(usable);
    let manager = || entry.manager_status.as_ref()?.addr.as_deref().and_then(usable);
    own.or_else(manager).map(|address| address.to_string())
}

/// Parses an address with or without a port; `None` for an unspecified address.
fn usable(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok().or_else(|| text.parse().ok().map(|socket: std::net::SocketAddr| socket.ip()))?;
    (!address.is_unspecified()).then_some(address)
}

pub(super) fn quorum(nodes: &BTreeMap<String, Node>) -> Quorum {
    let count = |test: fn(&&Node) -> bool| u32::try_from(nodes.values().filter(test).count()).unwrap_or(u32::MAX);
    let managers = count(|node| node.reachable.is_some());
    let reachable = count(|node| node.reachable == Some(true));
    Quorum { managers, reachable, lost: managers > 0 && reachable < managers / 2 + 1 }
}
