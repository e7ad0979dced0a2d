//! Nodes and the managers' consensus.

use std::{collections::BTreeMap, net::IpAddr};

use super::{super::wire, millis, words};
use crate::cluster_state::{Availability, Millis, Node, NodeRole, NodeState, Quorum};

/// A node's state and since when it is in it.
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
                // The engine writes the node down when its state changes, so it has not been longer.
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
        message: words(entry.status.message.as_ref()),
        since,
        engine: description.and_then(|description| words(description.engine.engine_version.as_ref())),
        platform: description
            .map(|description| &description.platform)
            .filter(|platform| !platform.os.is_empty())
            .map(|platform| format!("{}/{}", platform.os, platform.architecture)),
        nano_cpus: description.and_then(|description| description.resources.nano_cpus),
        memory_bytes: description.and_then(|description| description.resources.memory_bytes),
        disk: None,
    }
}

fn state(word: &str) -> NodeState {
    match word {
        "ready" => NodeState::Ready,
        "down" => NodeState::Down,
        "disconnected" => NodeState::Disconnected,
        _ => NodeState::Unknown,
    }
}

/// The leader sees itself at 0.0.0.0, where its managers' address helps.
fn address(entry: &wire::Node) -> Option<String> {
    let seen = entry.status.addr.as_deref().and_then(usable);
    let managers = || entry.manager_status.as_ref()?.addr.as_deref().and_then(usable);
    seen.or_else(managers).map(|address| address.to_string())
}

/// An address with or without a port that others can use.
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
