//! What operators see of the connections behind a mesh.
//!
//! Each worker publishes a [`MeshReport`] once a second, and the control thread merges them. Replicas name themselves,
//! so names are made printable, and only [`MAX_NAMES`] of them are told apart; the others are shown as one. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{observe::decisions::printable, upstream::health::error_share::Responses};

/// The most replicas of a pool that have a name of their own in the status and in the metrics.
pub const MAX_NAMES: usize = 64;

/// The name of all others, together with any replica that is really called so.
pub const OTHERS: &str = "others";

/// The longest name that is shown, in characters.
const LONGEST_NAME: usize = 64;

/// The part of the recent responses that is forgotten with each merge, which is once a second: shares are those of the
/// last ten seconds or so.
const FORGOTTEN: f64 = 0.1;

/// The connections of one worker and one pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeshReport {
    /// How long a new connection may take.
    pub connect_timeout: Duration,
    /// After what time a second one is opened beside it.
    pub late_after: Duration,
    /// The number of warm connections that are kept to each node in use.
    pub warm: usize,
    /// Connections whose replica is not known.
    pub unknown: usize,
    /// The nodes.
    pub nodes: Vec<NodeReport>,
    /// The replicas that are known.
    pub replicas: Vec<ReplicaReport>,
}

/// The connections of one worker to one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeReport {
    /// The id of the endpoint.
    pub node: u64,
    /// Open ones.
    pub open: usize,
    /// Those of them that are idle: spare ones for the next requests.
    pub idle: usize,
    /// Those of them that requests may use: their last answer shows it, and nothing suggests that they do not answer.
    pub ready: usize,
    /// Those that are being opened.
    pub opening: usize,
    /// Whether requests avoid the node because a connection to it did not answer.
    pub suspect: bool,
    /// How often that began.
    pub suspicions: u64,
}

/// One replica as one worker knows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaReport {
    /// Its name as it is.
    pub name: Box<[u8]>,
    /// The connections that lead to it.
    pub connections: usize,
    /// Its responses to requests.
    pub responses: Responses,
    /// Whether it is ejected.
    pub ejected: bool,
    /// How often it was.
    pub ejections: u64,
    /// Why it last was, and for how long.
    pub why: Option<(Responses, Duration)>,
    /// Whether requests avoid it because a connection to it did not answer.
    pub suspect: bool,
    /// How often that began.
    pub suspicions: u64,
}

/// The connections of all workers and one pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeshStatus {
    /// How long a new connection may take, on the worker that allows the most.
    pub connect_timeout: Duration,
    /// After what time a second one is opened beside it, on that worker.
    pub late_after: Duration,
    /// The number of warm connections that all workers together keep to each node in use.
    pub warm: usize,
    /// Connections whose replica is not known.
    pub unknown: usize,
    /// The nodes, by id.
    pub nodes: Vec<NodeReport>,
    /// The replicas, by name.
    pub replicas: Vec<ReplicaStatus>,
}

/// One replica.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaStatus {
    /// Its name, printable and not too long.
    pub name: String,
    /// The connections that lead to it.
    pub connections: usize,
    /// Its responses to requests since it appeared.
    pub responses: u64,
    /// The server errors among them.
    pub errors: u64,
    /// The share of the requests of the last ten seconds, 0.0 to 1.0; `None` if there were none.
    pub share: Option<f64>,
    /// Whether a worker ejects it.
    pub ejected: bool,
    /// How often workers ejected it.
    pub ejections: u64,
    /// Whether a worker avoids it because a connection to it did not answer.
    pub suspect: bool,
    /// How often a worker began to.
    pub suspicions: u64,
}

/// What changed between two merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A replica appeared.
    Found(String),
    /// No worker knows it any more.
    Lost(String),
    /// Workers ejected it, and why the last one did.
    Ejected(String, String),
    /// No worker ejects it any more.
    Returned(String),
    /// Workers began to avoid it, so often.
    ReplicaSuspected(String, u64),
    /// Workers began to avoid a node, so often.
    NodeSuspected(u64, u64),
}

/// Merges the reports of workers.
#[derive(Clone, Debug, Default)]
pub struct Merger {
    replicas: BTreeMap<String, Merged>,
    /// How often each worker began to avoid a node, by the id of the node.
    suspicions: BTreeMap<u64, Vec<u64>>,
}

/// The counts of one replica. Those of a worker begin anew when the worker has forgotten it, so that only their
/// increases are added.
#[derive(Clone, Debug, Default)]
struct Merged {
    seen: Vec<Seen>,
    total: Seen,
    recent: f64,
    ejected: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    responses: u64,
    errors: u64,
    ejections: u64,
    suspicions: u64,
}

/// A replica in the reports of all workers.
#[derive(Default)]
struct Reported {
    connections: usize,
    by_worker: Vec<Seen>,
    ejected: bool,
    suspect: bool,
    why: Option<(Responses, Duration)>,
}

impl Merger {
    /// Merges the newest report of each worker. Returns what changed since the last call.
    pub fn merge(&mut self, reports: &[Option<Arc<MeshReport>>]) -> (MeshStatus, Vec<Change>) {
        let mut changes = Vec::new();
        let nodes = self.merge_nodes(reports, &mut changes);
        let replicas = self.merge_replicas(reports, &mut changes);
        let all = || reports.iter().flatten();
        let slowest = all().max_by_key(|report| report.connect_timeout);
        let status = MeshStatus {
            connect_timeout: slowest.map(|report| report.connect_timeout).unwrap_or_default(),
            late_after: slowest.map(|report| report.late_after).unwrap_or_default(),
            warm: all().map(|report| report.warm).sum(),
            unknown: all().map(|report| report.unknown).sum(),
            nodes,
            replicas,
        };
        (status, changes)
    }

    fn merge_nodes(&mut self, reports: &[Option<Arc<MeshReport>>], changes: &mut Vec<Change>) -> Vec<NodeReport> {
        let mut nodes: BTreeMap<u64, NodeReport> = BTreeMap::new();
        let mut suspicions: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (worker, report) in reports.iter().enumerate() {
            for node in report.iter().flat_map(|report| &report.nodes) {
                let sum = nodes.entry(node.node).or_insert(NodeReport { node: node.node, ..NodeReport::default() });
                sum.open += node.open;
                sum.idle += node.idle;
                sum.ready += node.ready;
                sum.opening += node.opening;
                sum.suspect |= node.suspect;
                sum.suspicions += node.suspicions;
                let seen = suspicions.entry(node.node).or_insert_with(|| vec![0; reports.len()]);
                if let Some(seen) = seen.get_mut(worker) {
                    *seen = node.suspicions;
                }
            }
        }
        for (node, now) in &suspicions {
            let before = self.suspicions.get(node);
            let before = |worker| before.and_then(|before| before.get(worker)).copied().unwrap_or(0);
            let more = now.iter().enumerate().map(|(worker, now)| increase(before(worker), *now)).sum();
            if more > 0 {
                changes.push(Change::NodeSuspected(*node, more));
            }
        }
        self.suspicions = suspicions;
        nodes.into_values().collect()
    }

    fn merge_replicas(&mut self, reports: &[Option<Arc<MeshReport>>], changes: &mut Vec<Change>) -> Vec<ReplicaStatus> {
        let reported = self.by_name(reports);
        let lost: Vec<_> = self.replicas.keys().filter(|name| !reported.contains_key(*name)).cloned().collect();
        for name in lost {
            self.replicas.remove(&name);
            changes.push(Change::Lost(name));
        }
        let mut replicas = Vec::new();
        for (name, Reported { connections, by_worker, ejected, suspect, why }) in reported {
            let is_new = !self.replicas.contains_key(&name);
            let merged = self.replicas.entry(name.clone()).or_default();
            let more = merged.add(by_worker, name == OTHERS);
            if is_new {
                changes.push(Change::Found(name.clone()));
            }
            if more.ejections > 0 {
                changes.push(Change::Ejected(name.clone(), why.map(because).unwrap_or_default()));
            } else if merged.ejected && !ejected {
                changes.push(Change::Returned(name.clone()));
            }
            if more.suspicions > 0 {
                changes.push(Change::ReplicaSuspected(name.clone(), more.suspicions));
            }
            merged.ejected = ejected;
            let Seen { responses, errors, ejections, suspicions } = merged.total;
            replicas.push(ReplicaStatus {
                name,
                connections,
                responses,
                errors,
                share: Some(merged.recent),
                ejected,
                ejections,
                suspect,
                suspicions,
            });
        }
        let all: f64 = replicas.iter().filter_map(|replica| replica.share).sum();
        for replica in &mut replicas {
            // Less than half a request is what is left of those of long ago.
            replica.share = replica.share.filter(|_| all >= 0.5).map(|recent| recent / all);
        }
        replicas
    }

    /// The replicas in the reports, by the name that is shown.
    fn by_name(&self, reports: &[Option<Arc<MeshReport>>]) -> BTreeMap<String, Reported> {
        let replicas = || {
            let by_worker = reports.iter().enumerate().filter_map(|(worker, report)| Some((worker, report.as_ref()?)));
            by_worker.flat_map(|(worker, report)| report.replicas.iter().map(move |replica| (worker, replica)))
        };
        let names: BTreeSet<_> = replicas().map(|(_, replica)| shown(&replica.name)).collect();
        // Those that have a name of their own keep it.
        let (known, new): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| self.replicas.contains_key(name));
        let own: BTreeSet<_> = known.into_iter().chain(new).filter(|name| name != OTHERS).take(MAX_NAMES).collect();
        let mut reported: BTreeMap<String, Reported> = BTreeMap::new();
        for (worker, replica) in replicas() {
            let name = Some(shown(&replica.name)).filter(|name| own.contains(name));
            let sum = reported.entry(name.unwrap_or_else(|| OTHERS.to_owned())).or_default();
            sum.by_worker.resize(reports.len(), Seen::default());
            sum.connections += replica.connections;
            sum.ejected |= replica.ejected;
            sum.suspect |= replica.suspect;
            sum.why = replica.why.or(sum.why);
            if let Some(seen) = sum.by_worker.get_mut(worker) {
                seen.responses += replica.responses.total;
                seen.errors += replica.responses.errors;
                seen.ejections += replica.ejections;
                seen.suspicions += replica.suspicions;
            }
        }
        reported
    }
}

impl Merged {
    /// Adds what the workers counted since the last call, and returns it.
    fn add(&mut self, now: Vec<Seen>, is_others: bool) -> Seen {
        let mut more = Seen::default();
        for (worker, now) in now.iter().enumerate() {
            let before = self.seen.get(worker).copied().unwrap_or_default();
            // A worker that forgets one of many does not count the others anew.
            let more_of =
                |before: u64, now: u64| if is_others { now.saturating_sub(before) } else { increase(before, now) };
            more.responses += more_of(before.responses, now.responses);
            more.errors += more_of(before.errors, now.errors);
            more.ejections += more_of(before.ejections, now.ejections);
            more.suspicions += more_of(before.suspicions, now.suspicions);
        }
        self.seen = now;
        self.total.responses += more.responses;
        self.total.errors += more.errors;
        self.total.ejections += more.ejections;
        self.total.suspicions += more.suspicions;
        self.recent = self.recent * (1.0 - FORGOTTEN) + more.responses as f64;
        more
    }
}

/// How much a count increased that may have begun anew.
fn increase(before: u64, now: u64) -> u64 {
    if now >= before { now - before } else { now }
}

fn because((Responses { total, errors }, duration): (Responses, Duration)) -> String {
    format!("{errors} of {total} responses were server errors, ejected for {duration:?}")
}

/// The name of a replica as it is shown.
fn shown(name: &[u8]) -> String {
    let name = printable(&String::from_utf8_lossy(name));
    let mut letters = name.chars();
    let mut short: String = letters.by_ref().take(LONGEST_NAME).collect();
    if letters.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(name: &str, responses: u64) -> ReplicaReport {
        let responses = Responses { total: responses, errors: responses / 10 };
        ReplicaReport { name: name.as_bytes().into(), connections: 2, responses, ..ReplicaReport::default() }
    }

    fn report(replicas: Vec<ReplicaReport>) -> Option<Arc<MeshReport>> {
        let node = NodeReport { node: 7, open: 3, idle: 2, ready: 1, opening: 1, ..NodeReport::default() };
        let nodes = vec![node];
        Some(Arc::new(MeshReport { warm: 3, unknown: 1, nodes, replicas, ..MeshReport::default() }))
    }

    fn counts(status: &MeshStatus) -> Vec<(&str, u64, usize)> {
        let replicas = status.replicas.iter();
        replicas.map(|replica| (replica.name.as_str(), replica.responses, replica.connections)).collect()
    }

    #[test]
    fn the_reports_of_workers_are_added_up() {
        let mut merger = Merger::default();
        let (status, changes) =
            merger.merge(&[report(vec![replica("a", 30), replica("b", 10)]), None, report(vec![replica("a", 60)])]);
        assert_eq!(counts(&status), [("a", 90, 4), ("b", 10, 2)]);
        assert_eq!((status.warm, status.unknown), (6, 2));
        assert_eq!(
            status.nodes,
            [NodeReport { node: 7, open: 6, idle: 4, ready: 2, opening: 2, ..NodeReport::default() }]
        );
        assert_eq!(changes, [Change::Found("a".to_owned()), Change::Found("b".to_owned())]);
        let shares: Vec<_> = status.replicas.iter().map(|replica| replica.share.unwrap()).collect();
        assert!((shares[0] - 0.9).abs() < 1e-9 && (shares[1] - 0.1).abs() < 1e-9, "{shares:?}");
    }

    #[test]
    fn a_count_never_falls_when_a_worker_forgets_a_replica_and_finds_it_again() {
        let mut merger = Merger::default();
        for (first, second, expected) in [(Some(100), 10, 110), (None, 15, 115), (Some(3), 20, 123), (Some(5), 20, 125)]
        {
            let first = first.map(|count| replica("a", count)).into_iter().collect();
            let (status, _) = merger.merge(&[report(first), report(vec![replica("a", second)])]);
            assert_eq!(status.replicas[0].responses, expected);
        }
        let (status, changes) = merger.merge(&[report(vec![]), report(vec![])]);
        assert_eq!((status.replicas.len(), changes), (0, vec![Change::Lost("a".to_owned())]));
    }

    #[test]
    fn shares_are_those_of_the_last_seconds_and_none_without_requests() {
        let mut merger = Merger::default();
        merger.merge(&[report(vec![replica("a", 1000), replica("b", 1000)])]);
        for more in 1..=40 {
            merger.merge(&[report(vec![replica("a", 1000 + 10 * more), replica("b", 1000)])]);
        }
        let (status, _) = merger.merge(&[report(vec![replica("a", 1410), replica("b", 1000)])]);
        assert!(status.replicas[0].share.unwrap() > 0.85, "{status:?}");
        for _ in 0..100 {
            merger.merge(&[report(vec![replica("a", 1410), replica("b", 1000)])]);
        }
        let (status, _) = merger.merge(&[report(vec![replica("a", 1410), replica("b", 1000)])]);
        assert_eq!(status.replicas[0].share, None);
    }

    #[test]
    fn ejections_and_suspicions_that_are_over_already_are_changes_as_well() {
        let mut merger = Merger::default();
        merger.merge(&[report(vec![replica("a", 1)])]);
        let why = Some((Responses { total: 10, errors: 7 }, Duration::from_secs(5)));
        let ejected = ReplicaReport { ejected: true, ejections: 1, why, suspicions: 2, ..replica("a", 1) };
        let (status, changes) = merger.merge(&[report(vec![ejected.clone()])]);
        let because = "7 of 10 responses were server errors, ejected for 5s".to_owned();
        let expected = [Change::Ejected("a".to_owned(), because), Change::ReplicaSuspected("a".to_owned(), 2)];
        assert_eq!((&changes[..], status.replicas[0].ejected), (&expected[..], true));
        let (_, changes) = merger.merge(&[report(vec![ReplicaReport { ejected: false, ..ejected.clone() }])]);
        assert_eq!(changes, [Change::Returned("a".to_owned())]);
        let (_, changes) = merger.merge(&[report(vec![ReplicaReport { ejected: false, ..ejected }])]);
        assert_eq!(changes, []);
        let node = NodeReport { node: 7, suspicions: 1, ..NodeReport::default() };
        let suspect = Some(Arc::new(MeshReport { nodes: vec![node], ..MeshReport::default() }));
        let (_, changes) = merger.merge(std::slice::from_ref(&suspect));
        assert_eq!(changes, [Change::NodeSuspected(7, 1), Change::Lost("a".to_owned())]);
        assert_eq!(merger.merge(&[suspect]).1, []);
    }

    #[test]
    fn names_are_bounded_and_the_others_are_one() {
        let mut merger = Merger::default();
        let many = |from: usize, to: usize| (from..to).map(|number| replica(&format!("r{number:04}"), 1)).collect();
        merger.merge(&[report(many(500, 510))]);
        let (status, changes) = merger.merge(&[report(many(0, 255)), report(many(255, 510))]);
        assert_eq!(status.replicas.len(), MAX_NAMES + 1);
        assert!(counts(&status).contains(&("r0505", 2, 2)), "it had its name already: {status:?}");
        assert!(counts(&status).contains(&(OTHERS, 510 - MAX_NAMES as u64, 2 * (510 - MAX_NAMES))), "{status:?}");
        assert_eq!(changes.len(), MAX_NAMES + 1 - 10);
    }

    #[test]
    fn hostile_names_are_harmless_and_equal_ones_are_one() {
        let mut merger = Merger::default();
        let long = "x".repeat(5000);
        let names = ["a\r\n", "a\u{1b}\u{7}", "others", "<b>\"", long.as_str()];
        let (status, _) = merger.merge(&[report(names.iter().map(|name| replica(name, 1)).collect())]);
        let mut invalid = replica("", 1);
        invalid.name = Box::from(&b"\xff\xfe"[..]);
        assert_eq!(merger.merge(&[report(vec![invalid])]).0.replicas[0].name, "\u{fffd}\u{fffd}");
        let expected = [("<b>\"", 1, 2), ("a\u{fffd}\u{fffd}", 2, 4), ("others", 1, 2)];
        assert_eq!(&counts(&status)[..3], &expected);
        assert_eq!(status.replicas[3].name.chars().count(), LONGEST_NAME + 1);
    }
}
