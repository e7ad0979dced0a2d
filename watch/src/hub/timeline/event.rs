//! Construction of events.

use crate::cluster_state::{Event, Node, Severity};

/// An event without an id, a time or references to nodes, services and tasks.
pub(super) fn event(severity: Severity, text: String) -> Event {
    Event { severity, text, ..Event::default() }
}

/// The name of a node: its host name, or its id if that is not known.
pub(super) fn node_name<'a>(id: &'a str, node: &'a Node) -> &'a str {
    if node.hostname.is_empty() { id } else { &node.hostname }
}
