//! The difference between two cluster states, which the live page receives.
//!
//! A map holds new and changed entries as a whole, and `null` for removed ones; other fields are present only
//! if they changed. [`Delta::apply`] on the earlier state yields the later one.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Alert, ClusterState, Edge, Event, Node, Quorum, Redis, Service, Source, Task};

/// Entries by id: new and changed ones, and `None` for removed ones.
pub type Changes<T> = BTreeMap<String, Option<T>>;

/// The difference between two cluster states.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields of ClusterState, documented there")]
pub struct Delta {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub quorum: Option<Quorum>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub nodes: Changes<Node>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub services: Changes<Service>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub tasks: Changes<Task>,
    /// The inner `None`, `null` in JSON, means that Redis is no longer configured.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "present")]
    pub redis: Option<Option<Redis>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub edges: Changes<Edge>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub alerts: Changes<Alert>,
    /// New events only.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub timeline: Vec<Event>,
}

/// Maps a field that is present to `Some`, even if it is `null`.
fn present<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Option<Redis>>, D::Error> {
    Option::deserialize(input).map(Some)
}

impl Delta {
    /// Computes the difference that leads from `before` to `after`.
    #[must_use]
    pub fn between(before: &ClusterState, after: &ClusterState) -> Self {
        let newest = before.timeline.last().map_or(0, |event| event.id);
        Self {
            source: changed(&before.source, &after.source),
            quorum: changed(&before.quorum, &after.quorum),
            nodes: changes(&before.nodes, &after.nodes),
            services: changes(&before.services, &after.services),
            tasks: changes(&before.tasks, &after.tasks),
            redis: changed(&before.redis, &after.redis),
            edges: changes(&before.edges, &after.edges),
            alerts: changes(&before.alerts, &after.alerts),
            timeline: after.timeline.iter().filter(|event| event.id > newest).cloned().collect(),
        }
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Turns the earlier state into the later one.
    pub fn apply(self, cluster: &mut ClusterState) {
        if let Some(source) = self.source {
            cluster.source = source;
        }
        if let Some(quorum) = self.quorum {
            cluster.quorum = quorum;
        }
        if let Some(redis) = self.redis {
            cluster.redis = redis;
        }
        apply(self.nodes, &mut cluster.nodes);
        apply(self.services, &mut cluster.services);
        apply(self.tasks, &mut cluster.tasks);
        apply(self.edges, &mut cluster.edges);
        apply(self.alerts, &mut cluster.alerts);
        cluster.timeline.extend(self.timeline);
        let surplus = cluster.timeline.len().saturating_sub(ClusterState::TIMELINE);
        cluster.timeline.drain(..surplus);
    }
}

fn changed<T: Clone + PartialEq>(before: &T, after: &T) -> Option<T> {
    (before != after).then(|| after.clone())
}

fn changes<T: Clone + PartialEq>(before: &BTreeMap<String, T>, after: &BTreeMap<String, T>) -> Changes<T> {
    let gone = before.keys().filter(|id| !after.contains_key(*id)).map(|id| (id.clone(), None));
    let new = after.iter().filter(|(id, entry)| before.get(*id) != Some(entry));
    gone.chain(new.map(|(id, entry)| (id.clone(), Some(entry.clone())))).collect()
}

fn apply<T>(changes: Changes<T>, entries: &mut BTreeMap<String, T>) {
    for (id, entry) in changes {
        match entry {
            Some(entry) => drop(entries.insert(id, entry)),
            None => drop(entries.remove(&id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, option, prelude::*};

    use super::*;
    use crate::cluster_state::NodeState;

    fn node() -> impl Strategy<Value = Node> {
        (0..3_u8, any::<bool>()).prop_map(|(number, ready)| Node {
            hostname: format!("node{number}"),
            state: if ready { NodeState::Ready } else { NodeState::Down },
            ..Node::default()
        })
    }

    /// Uses few ids and few values, so that states share entries.
    fn cluster() -> impl Strategy<Value = ClusterState> {
        (
            btree_map("[abc]", node(), 0..3),
            btree_map("[abc]", (0..3_u32).prop_map(|desired| Service { desired, ..Service::default() }), 0..3),
            option::of((0..3_u64).prop_map(|count| Redis { count: Some(count), ..Redis::default() })),
            0..3_u32,
        )
            .prop_map(|(nodes, services, redis, managers)| ClusterState {
                nodes,
                services,
                redis,
                quorum: Quorum { managers, ..Quorum::default() },
                ..ClusterState::default()
            })
    }

    proptest! {
        #[test]
        fn a_delta_sent_as_json_leads_from_one_state_to_the_other(before in cluster(), after in cluster()) {
            let delta = Delta::between(&before, &after);
            prop_assert_eq!(delta.is_empty(), before == after);
            let sent: Delta = serde_json::from_str(&serde_json::to_string(&delta).unwrap()).unwrap();
            let mut made = before;
            sent.apply(&mut made);
            prop_assert_eq!(made, after);
        }
    }

    #[test]
    fn a_delta_holds_only_new_events_and_apply_drops_the_oldest() {
        let event = |id| Event { id, ..Event::default() };
        let mut before = ClusterState {
            timeline: (1..=ClusterState::TIMELINE as u64).map(event).collect(),
            ..ClusterState::default()
        };
        let mut after = before.clone();
        after.timeline.remove(0);
        after.timeline.push(event(1000));
        let delta = Delta::between(&before, &after);
        assert_eq!(delta.timeline, [event(1000)]);
        delta.apply(&mut before);
        assert_eq!(before, after);
    }
}
