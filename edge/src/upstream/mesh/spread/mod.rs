//! How the connections of one worker are spread over nodes and replicas, and which replica comes next.
//!
//! A replica is known by what its responses say in a field that the pool names. Connections whose replica is not known
//! yet count as one replica, [`UNKNOWN`]. The replica that has waited longest for a request comes next, which gives
//! equal shares as long as each has an idle connection. Pure: time is an argument.

mod ejection;
mod misnamed;

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

pub use self::ejection::Ejected;
use self::misnamed::Misnamed;
use super::report::{NodeReport, ReplicaReport};
use crate::upstream::health::{
    error_share::{Responses, Window},
    outlier::Outlier,
};

/// The index of the connections whose replica is not known.
pub const UNKNOWN: usize = 0;

/// The most replicas that are told apart; connections to others count as [`UNKNOWN`]. Bounds the memory that endpoints
/// with ever new names can take.
const MAX_REPLICAS: usize = 256;

/// The longest name of a replica in bytes. Longer ones are not names.
const MAX_NAME: usize = 256;

/// The number of replicas that is assumed if responses name none.
const UNNAMED: usize = 6;

/// How long a replica without a connection is remembered.
const KEEP: Duration = Duration::from_secs(10);

/// The pause after the first connection to a node that could not be opened ahead of need, or that answered nothing or
/// closed after its first answer. Doubles with each further one, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How the connections are spread.
#[derive(Debug)]
pub struct Spread {
    /// By index; a name that is empty belongs to no replica, and the first one to those not known.
    replicas: Vec<Replica>,
    /// By the id of the endpoint.
    nodes: HashMap<u64, Node>,
    /// The number of requests so far.
    turn: u64,
    /// How often a replica appeared.
    found: u64,
    /// The connections, and how many of them lead to replicas that should get no requests.
    connections: usize,
    unready: usize,
    /// The last answer named no replica.
    unnamed: bool,
    misnamed: Misnamed,
}

#[derive(Debug, Default)]
struct Replica {
    name: Box<[u8]>,
    /// The connections that lead to it.
    connections: usize,
    /// The number of the last request that it got.
    turn: u64,
    /// Since when it has no connection.
    lost: Option<Instant>,
    /// All its responses.
    responses: Responses,
    /// Its responses since they were last compared with those of the others.
    window: Window,
    outlier: Outlier,
    /// How often it was ejected, why it last was, and for how long.
    ejections: u64,
    why: Option<(Responses, Duration)>,
    /// See [`Spread::suspect`].
    suspect: bool,
    /// How often it became suspect.
    suspicions: u64,
}

/// The connections to one node.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    open: usize,
    opening: usize,
    /// How many could not be opened, or not be kept, since the last one that was.
    failures: u32,
    /// When the next one may be opened ahead of need.
    not_before: Option<Instant>,
    /// See [`Spread::suspect`].
    suspect: bool,
    /// How often it became suspect.
    suspicions: u64,
}

/// The position of a replica in the order of their turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// Whether it comes after all others.
    last: bool,
    /// When it got its last request.
    turn: u64,
    /// Its index.
    pub replica: usize,
}

impl Default for Spread {
    fn default() -> Self {
        let replicas = vec![Replica::default()];
        Self {
            replicas,
            nodes: HashMap::new(),
            turn: 0,
            found: 0,
            connections: 0,
            unready: 0,
            unnamed: false,
            misnamed: Misnamed::default(),
        }
    }
}

impl Spread {
    /// Adds an open connection to a node, whose replica is not known.
    pub fn add(&mut self, node: u64) {
        self.connections += 1;
        self.nodes.entry(node).or_default().open += 1;
        self.count(UNKNOWN, 1);
    }

    /// Removes a connection to a node and to the replica at this index.
    pub fn remove(&mut self, node: u64, replica: usize) {
        if let Some(counts) = self.nodes.get_mut(&node) {
            counts.open = counts.open.saturating_sub(1);
        }
        self.connections = self.connections.saturating_sub(1);
        self.count(replica, -1);
    }

    /// Counts a connection as one whose replica should get no requests, or no longer.
    pub fn count_unready(&mut self, is_unready: bool) {
        self.unready = self.unready.saturating_add_signed(if is_unready { 1 } else { -1 });
    }

    /// Whether no replica should get requests: then all of them may.
    #[must_use]
    pub fn is_unready(&self) -> bool {
        self.unready >= self.connections
    }

    /// A connection to a node and a replica did not answer: one of them may be gone. Requests avoid both until an
    /// answer shows which of the two is well. If the replica is suspect already, that explains it. If it is not known,
    /// it is probably the one that is gone, since a new connection may lead anywhere.
    pub fn suspect(&mut self, node: u64, replica: usize) {
        let known = self.replicas.get_mut(replica).filter(|replica| !replica.name.is_empty());
        if let Some(replica) = known.filter(|replica| !replica.suspect) {
            replica.suspect = true;
            replica.suspicions += 1;
            let node = self.nodes.entry(node).or_default();
            node.suspicions += u64::from(!node.suspect);
            node.suspect = true;
        }
    }

    /// A connection to a node and a replica answered, and can be used again.
    pub fn answered(&mut self, node: u64, replica: usize) {
        self.unnamed = replica == UNKNOWN;
        if let Some(node) = self.nodes.get_mut(&node) {
            node.suspect = false;
            (node.failures, node.not_before) = (0, None);
        }
        if let Some(replica) = self.replicas.get_mut(replica) {
            replica.suspect = false;
        }
    }

    /// Whether all replicas, or all nodes, are suspect. Then they are rather slow than gone, and new connections would
    /// only add to their load.
    #[must_use]
    pub fn is_suspect_throughout(&self) -> bool {
        let mut replicas = self.replicas.iter().filter(|replica| replica.connections > 0);
        let mut nodes = self.nodes.values().filter(|node| node.open > 0);
        replicas.all(|replica| replica.suspect) || nodes.all(|node| node.suspect)
    }

    /// The number of replicas that connections should reach: those that are known, or some if they have no names.
    #[must_use]
    pub fn expected(&self) -> usize {
        match self.replicas() {
            0 if self.unnamed => UNNAMED,
            known => known,
        }
    }

    /// Whether a connection to a node and a replica may no longer answer.
    #[must_use]
    pub fn is_suspect(&self, node: u64, replica: usize) -> bool {
        self.nodes.get(&node).is_some_and(|node| node.suspect)
            || self.replicas.get(replica).is_some_and(|replica| replica.suspect)
    }

    /// Learns that a connection counted at the index `before` leads to the replica of this name. Returns the index at
    /// which it counts now. After a connection showed two names, none is known for a time: the field names something
    /// else.
    pub fn learn(&mut self, before: usize, name: &[u8]) -> usize {
        if self.replicas.get(before).is_some_and(|replica| !replica.name.is_empty() && *replica.name == *name) {
            return before;
        }
        if before != UNKNOWN {
            self.misnamed.begin();
        }
        let replica = if self.misnamed.is_on { UNKNOWN } else { self.index_of(name) };
        self.count(before, -1);
        self.count(replica, 1);
        replica
    }

    /// The name of a replica; empty if it is not known.
    #[must_use]
    pub fn name(&self, replica: usize) -> &[u8] {
        self.replicas.get(replica).map_or(&[], |replica| &replica.name)
    }

    /// The number of replicas that are known.
    #[must_use]
    pub fn replicas(&self) -> usize {
        self.replicas.iter().filter(|replica| !replica.name.is_empty()).count()
    }

    /// How often a replica appeared that was not known.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.found
    }

    /// Whether a known replica has no connection.
    #[must_use]
    pub fn lacks_one(&self) -> bool {
        self.replicas.iter().any(|replica| !replica.name.is_empty() && replica.connections == 0)
    }

    /// What operators see of the nodes; the idle connections are not known here.
    pub fn report_nodes(&self) -> impl Iterator<Item = NodeReport> {
        self.nodes.iter().map(|(id, node)| {
            let Node { open, opening, suspect, suspicions, .. } = *node;
            NodeReport { node: *id, open, opening, suspect, suspicions, ..NodeReport::default() }
        })
    }

    /// What operators see of the replicas that are known.
    pub fn report_replicas(&self) -> impl Iterator<Item = ReplicaReport> {
        let known = self.replicas.iter().filter(|replica| !replica.name.is_empty());
        known.map(|replica| ReplicaReport {
            name: replica.name.clone(),
            connections: replica.connections,
            responses: replica.responses,
            ejected: replica.outlier.is_ejected(),
            ejections: replica.ejections,
            why: replica.why,
            suspect: replica.suspect,
            suspicions: replica.suspicions,
        })
    }

    /// The number of connections to a replica.
    #[must_use]
    pub fn to_replica(&self, replica: usize) -> usize {
        self.replicas.get(replica).map_or(0, |replica| replica.connections)
    }

    /// The number of open connections to a node.
    #[must_use]
    pub fn to_node(&self, node: u64) -> usize {
        self.nodes.get(&node).map_or(0, |node| node.open)
    }

    /// The number of connections to a node that are being opened.
    #[must_use]
    pub fn opening(&self, node: u64) -> usize {
        self.nodes.get(&node).map_or(0, |node| node.opening)
    }

    /// A connection to a node is being opened.
    pub fn begin(&mut self, node: u64) {
        self.nodes.entry(node).or_default().opening += 1;
    }

    /// It is open, or could not be opened.
    pub fn end(&mut self, node: u64) {
        if let Some(counts) = self.nodes.get_mut(&node) {
            counts.opening = counts.opening.saturating_sub(1);
        }
    }

    /// Records whether a connection to a node could be opened and kept.
    pub fn opened(&mut self, node: u64, succeeded: bool, now: Instant) {
        let counts = self.nodes.entry(node).or_default();
        if succeeded {
            (counts.failures, counts.not_before) = (0, None);
        } else {
            let pause = FIRST_PAUSE.saturating_mul(1 << counts.failures.min(16)).min(LONGEST_PAUSE);
            counts.failures = counts.failures.saturating_add(1);
            counts.not_before = Some(now + pause);
        }
    }

    /// Whether connections to a node may be opened ahead of need: not right after one that failed.
    #[must_use]
    pub fn may_open(&self, node: u64, now: Instant) -> bool {
        self.nodes.get(&node).and_then(|node| node.not_before).is_none_or(|not_before| now >= not_before)
    }

    /// Returns the replica that comes after `after` in the order of their turns, of those for which `has_idle` returns
    /// true. Those not known come last, or first if that is the only way to learn who they are.
    pub fn next(&self, after: Option<Turn>, unknown_first: bool, has_idle: impl Fn(usize) -> bool) -> Option<Turn> {
        let turns = self.replicas.iter().enumerate().map(|(index, replica)| {
            let (last, turn) =
                if index == UNKNOWN && unknown_first { (false, 0) } else { (index == UNKNOWN, replica.turn) };
            Turn { last, turn, replica: index }
        });
        turns.filter(|turn| Some(*turn) > after && has_idle(turn.replica)).min()
    }

    /// Records that a replica gets a request.
    pub fn take_turn(&mut self, replica: usize) {
        self.turn += 1;
        if let Some(replica) = self.replicas.get_mut(replica) {
            replica.turn = self.turn;
        }
    }

    /// Forgets replicas that have had no connection for a while, and nodes that `keep` rejects.
    pub fn forget(&mut self, now: Instant, keep: impl Fn(u64) -> bool) {
        self.misnamed.tick(now);
        self.nodes.retain(|node, counts| counts.open > 0 || counts.opening > 0 || keep(*node));
        for replica in self.replicas.iter_mut().filter(|replica| !replica.name.is_empty()) {
            if replica.connections > 0 {
                replica.lost = None;
            } else if now.saturating_duration_since(*replica.lost.get_or_insert(now)) >= KEEP {
                *replica = Replica::default();
            }
        }
    }

    /// The index of the replica of this name, which may be new.
    fn index_of(&mut self, name: &[u8]) -> usize {
        if name.is_empty() || name.len() > MAX_NAME {
            return UNKNOWN;
        }
        if let Some(index) = self.replicas.iter().position(|replica| *replica.name == *name) {
            return index;
        }
        let new = Replica { name: name.into(), ..Replica::default() };
        let is_free = |replica: &Replica| replica.name.is_empty() && replica.connections == 0;
        let free = self.replicas.iter().skip(1).position(is_free).map(|position| position + 1);
        let index = match free {
            Some(index) => index,
            None if self.replicas.len() <= MAX_REPLICAS => {
                self.replicas.push(Replica::default());
                self.replicas.len() - 1
            }
            None => return UNKNOWN,
        };
        if let Some(slot) = self.replicas.get_mut(index) {
            *slot = new;
            self.found += 1;
        }
        index
    }

    fn count(&mut self, replica: usize, change: isize) {
        if let Some(replica) = self.replicas.get_mut(replica) {
            replica.connections = replica.connections.saturating_add_signed(change);
        }
    }
}

#[cfg(test)]
mod tests;
