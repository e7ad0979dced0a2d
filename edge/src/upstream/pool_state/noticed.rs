//! Notices once a second what workers decided and counted: they neither log nor remember it themselves.

use std::{collections::HashMap, fmt::Write, net::SocketAddr, sync::Arc};

use super::PoolState;
use crate::{
    error::Kind,
    observe::{
        decisions::{Decision, Note},
        stats::Counter,
    },
    upstream::{endpoint::Endpoint, mesh::report::Change},
};

/// The most endpoints or replicas that a reason names.
const NAMED: usize = 5;

impl PoolState {
    /// Notes what workers decided since the last call, and merges what they report of the connections behind a mesh.
    pub(in crate::upstream) fn notice(&mut self) {
        self.notice_surplus();
        let failures = self.failures();
        for decision in Decision::ALL {
            let now = self.handle.stats.sum(|stats| stats.decided(decision));
            let count = increase(&mut self.noticed.decided, decision as usize, now);
            if count == 0 {
                continue;
            }
            let (endpoint, reason) = match decision {
                Decision::Retried => (only(&failures), self.why_retried(&failures)),
                _ => (None, String::new()),
            };
            let note = Note { endpoint, count, ..Note::new(decision, &reason) };
            self.handle.decisions.show(&self.handle.config.name, &note, std::time::SystemTime::now());
        }
        if self.handle.config.mesh {
            self.notice_mesh();
        } else if self.handle.mesh.load().is_some() {
            self.handle.mesh.store(None);
        }
    }

    fn notice_surplus(&mut self) {
        let endpoints = self.members.values().map(|member| &member.endpoint);
        let surplus: HashMap<_, _> = endpoints
            .filter(|endpoint| endpoint.sends_surplus())
            .map(|endpoint| (endpoint.id, endpoint.address))
            .collect();
        for (id, address) in &surplus {
            if !self.noticed.surplus.contains(id) {
                self.handle.note(Decision::ReuseEnded, Some(*address), "");
            }
        }
        self.noticed.surplus = surplus.into_keys().collect();
    }

    /// Returns the endpoints at which attempts failed since the last call, with their number, most failures first.
    fn failures(&mut self) -> Vec<(SocketAddr, u64)> {
        let count = |endpoint: &Endpoint| {
            endpoint.stats.sum(|stats| {
                [&stats.connect_failures, &stats.resets, &stats.timeouts].into_iter().map(Counter::value).sum()
            })
        };
        let mut failures = Vec::new();
        let mut counts = HashMap::new();
        for endpoint in self.members.values().map(|member| &member.endpoint) {
            let now = count(endpoint);
            let more = now.saturating_sub(self.noticed.failures.get(&endpoint.id).copied().unwrap_or(0));
            counts.insert(endpoint.id, now);
            if more > 0 {
                failures.push((endpoint.address, more));
            }
        }
        self.noticed.failures = counts;
        failures.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        failures
    }

    /// Says why requests were sent again, and where attempts failed.
    fn why_retried(&mut self, failures: &[(SocketAddr, u64)]) -> String {
        let mut reason = String::new();
        for kind in Kind::ALL {
            let now = self.handle.stats.sum(|stats| stats.retry_reasons.get(kind as usize).map_or(0, Counter::value));
            let count = increase(&mut self.noticed.retries, kind as usize, now);
            if count > 0 {
                let comma = if reason.is_empty() { "" } else { ", " };
                // Writing to a `String` cannot fail.
                write!(reason, "{comma}{} {count}", kind.label()).ok();
            }
        }
        for (index, (address, count)) in failures.iter().take(NAMED).enumerate() {
            write!(reason, "{}{address} ({count})", if index == 0 { "; failed at " } else { ", " }).ok();
        }
        if failures.len() > NAMED {
            write!(reason, " and {} others", failures.len() - NAMED).ok();
        }
        reason
    }

    fn notice_mesh(&mut self) {
        let reports: Vec<_> = self.handle.meshes.iter().map(arc_swap::ArcSwapAny::load_full).collect();
        let (status, changes) = self.noticed.mesh.merge(&reports);
        let mut replicas: Vec<AboutReplica> = Vec::new();
        for change in changes {
            let (decision, name, why, count) = match change {
                Change::Found(name) => (Decision::ReplicaFound, name, String::new(), 1),
                Change::Lost(name) => (Decision::ReplicaLost, name, String::new(), 1),
                Change::Ejected(name, why) => (Decision::ReplicaEjected, name, why, 1),
                Change::Returned(name) => (Decision::ReplicaReturned, name, String::new(), 1),
                Change::ReplicaSuspected(name, count) => (Decision::ReplicaSuspected, name, String::new(), count),
                Change::NodeSuspected(id, count) => {
                    let node = self.members.values().find(|member| member.endpoint.id == id);
                    let endpoint = node.map(|member| member.endpoint.address);
                    self.handle.note_with(&Note { endpoint, count, ..Note::new(Decision::NodeSuspected, "") });
                    continue;
                }
            };
            replicas.push(AboutReplica { decision, name, why, count });
        }
        for decision in Decision::ALL {
            let same: Vec<_> = replicas.iter().filter(|about| about.decision == decision).collect();
            self.note_replicas(decision, &same);
        }
        self.handle.mesh.store(Some(Arc::new(status)));
    }

    /// Notes a decision about some replicas. One note for all: endpoints that make up names must not fill the log and
    /// the list.
    fn note_replicas(&self, decision: Decision, replicas: &[&AboutReplica]) {
        let count = replicas.iter().map(|about| about.count).sum();
        match replicas {
            [] => {}
            [one] => {
                self.handle.note_with(&Note { replica: Some(&one.name), count, ..Note::new(decision, &one.why) });
            }
            several => {
                let names: Vec<_> = several.iter().take(NAMED).map(|about| about.name.as_str()).collect();
                let others = several.len().saturating_sub(NAMED);
                let others = if others > 0 { format!(" and {others} others") } else { String::new() };
                let reason = format!("{}{others}", names.join(", "));
                self.handle.note_with(&Note { count, ..Note::new(decision, &reason) });
            }
        }
    }
}

/// A decision about a replica.
struct AboutReplica {
    decision: Decision,
    name: String,
    why: String,
    count: u64,
}

/// The only one of them.
fn only(failures: &[(SocketAddr, u64)]) -> Option<SocketAddr> {
    if let [(address, _)] = failures { Some(*address) } else { None }
}

/// Sets the count at `index`, and returns by how much it increased.
fn increase(counts: &mut Vec<u64>, index: usize, now: u64) -> u64 {
    if counts.len() <= index {
        counts.resize(index + 1, 0);
    }
    counts.get_mut(index).map_or(0, |count| now.saturating_sub(std::mem::replace(count, now)))
}
