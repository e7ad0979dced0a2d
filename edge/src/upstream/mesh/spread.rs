//! How the connections of one worker are spread over nodes and replicas, and which replica comes next.
//!
//! A replica is known by what its responses say in a field that the pool names. Connections whose replica is not known
//! yet count as one replica, [`UNKNOWN`]. The replica that has waited longest for a request comes next, which gives
//! equal shares as long as each has an idle connection. Pure: time is an argument.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use crate::{
    config::Ejection,
    upstream::health::{
        error_share::{Responses, Window},
        outlier::{self, Outlier, PoolCounts},
    },
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

/// How long no replica is known after one connection showed two names. Doubles each time that happens, up to
/// [`LONGEST_MISNAMED`].
const MISNAMED: Duration = Duration::from_secs(10);

/// The longest such time. After as long without two names, the next time is short again.
const LONGEST_MISNAMED: Duration = Duration::from_secs(600);

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

/// Whether one connection showed two names, so that the field names something else. A new version of the program may
/// mend that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Misnamed {
    is_on: bool,
    /// When it ends, or ended; `None` before the first time, and until the next call of [`Spread::forget`].
    until: Option<Instant>,
    /// How often it happened.
    times: u32,
}

impl Misnamed {
    fn begin(&mut self) {
        if !self.is_on {
            *self = Self { is_on: true, until: None, times: self.times.saturating_add(1) };
        }
    }

    fn tick(&mut self, now: Instant) {
        if self.is_on {
            let time = MISNAMED.saturating_mul(1 << (self.times.saturating_sub(1)).min(16)).min(LONGEST_MISNAMED);
            self.is_on = now < *self.until.get_or_insert(now + time);
        } else if self.until.is_some_and(|until| now >= until + LONGEST_MISNAMED) {
            *self = Self::default();
        }
    }
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
    /// See [`Spread::suspect`].
    suspect: bool,
}

/// A replica whose responses are server errors far more often than those of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejected {
    /// Its name.
    pub name: String,
    /// The responses that were compared.
    pub responses: Responses,
    /// How long it gets no requests.
    pub duration: Duration,
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

    /// Counts a response of a replica.
    pub fn responded(&mut self, replica: usize, is_error: bool) {
        if let Some(replica) = self.replicas.get_mut(replica) {
            replica.responses.total += 1;
            replica.responses.errors += u64::from(is_error);
        }
    }

    /// A connection to a node and a replica did not answer: one of them may be gone. Requests avoid both until an
    /// answer shows which of the two is well. If the replica is suspect already, that explains it. If it is not known,
    /// it is probably the one that is gone, since a new connection may lead anywhere.
    pub fn suspect(&mut self, node: u64, replica: usize) {
        let known = self.replicas.get_mut(replica).filter(|replica| !replica.name.is_empty());
        if let Some(replica) = known.filter(|replica| !replica.suspect) {
            replica.suspect = true;
            self.nodes.entry(node).or_default().suspect = true;
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

    /// Whether a replica gets no requests because of its responses.
    #[must_use]
    pub fn is_ejected(&self, replica: usize) -> bool {
        self.replicas.get(replica).is_some_and(|replica| replica.outlier.is_ejected())
    }

    /// Compares the responses of the replicas since the last call. Ejects those that give far more server errors than
    /// the others, the worst first, and ends ejections whose time is over. Returns those that it ejected.
    pub fn compare(&mut self, settings: &Ejection, now: Instant) -> Vec<Ejected> {
        for replica in &mut self.replicas {
            if replica.outlier.until().is_some_and(|until| now >= until) {
                replica.outlier.release(now);
                replica.window.clear();
            }
        }
        // Connections whose replica is not known lead to any of them.
        let known = self.replicas.iter_mut().filter(|replica| !replica.name.is_empty());
        let all: Responses = known.map(|replica| replica.window.count(replica.responses)).sum();
        let mut deviating = Vec::new();
        for (index, replica) in self.replicas.iter_mut().enumerate().filter(|(_, replica)| !replica.name.is_empty()) {
            if replica.outlier.is_ejected() {
                replica.window.clear();
            } else if let Some(responses) = replica.window.compare(all, settings.error_share) {
                deviating.push((index, responses));
            }
        }
        deviating.sort_by(|(_, one), (_, other)| other.share().total_cmp(&one.share()));
        let mut ejected = Vec::new();
        for (index, responses) in deviating {
            let total = self.replicas();
            let out = self.replicas.iter().filter(|replica| replica.outlier.is_ejected()).count();
            let counts = PoolCounts { total, ejected: out, healthy: total.saturating_sub(out) };
            if let Some(replica) = self.replicas.get_mut(index).filter(|_| outlier::may_eject(settings, counts)) {
                let duration = replica.outlier.eject(settings, now);
                let name = String::from_utf8_lossy(&replica.name).into_owned();
                ejected.push(Ejected { name, responses, duration });
            }
        }
        ejected
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Replicas `a`, `b` and so on, each with one connection.
    fn known(count: usize) -> Spread {
        let mut spread = Spread::default();
        for name in (b'a'..).take(count) {
            spread.add(1);
            assert_ne!(spread.learn(UNKNOWN, &[name]), UNKNOWN);
        }
        spread
    }

    #[test]
    fn replica_that_waited_longest_comes_next() {
        let mut spread = known(3);
        let mut turns = Vec::new();
        for _ in 0..6 {
            let next = spread.next(None, false, |_| true).unwrap();
            spread.take_turn(next.replica);
            turns.push(next.replica);
        }
        assert_eq!(turns, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn replica_that_just_appeared_gets_one_turn_and_no_burst() {
        let mut spread = known(2);
        for turn in [1, 2, 1, 2, 1] {
            spread.take_turn(turn);
        }
        spread.add(1);
        spread.learn(UNKNOWN, b"new");
        let mut turns = Vec::new();
        for _ in 0..4 {
            let next = spread.next(None, false, |replica| replica != UNKNOWN).unwrap();
            spread.take_turn(next.replica);
            turns.push(next.replica);
        }
        assert_eq!(turns, [3, 2, 1, 3]);
    }

    #[test]
    fn connections_not_known_come_last_or_first() {
        let spread = known(2);
        let order = |unknown_first| {
            let mut after = None;
            let mut order = Vec::new();
            while let Some(turn) = spread.next(after, unknown_first, |_| true) {
                order.push(turn.replica);
                after = Some(turn);
            }
            order
        };
        assert_eq!(order(false), [1, 2, UNKNOWN]);
        assert_eq!(order(true), [UNKNOWN, 1, 2]);
    }

    #[test]
    fn replica_is_forgotten_after_a_while_without_a_connection() {
        let mut spread = known(2);
        let now = Instant::now();
        spread.remove(1, 2);
        spread.forget(now, |_| true);
        assert!(spread.replicas() == 2 && spread.lacks_one());
        spread.forget(now + KEEP, |_| true);
        assert!(spread.replicas() == 1 && !spread.lacks_one());
        spread.add(1);
        assert_eq!(spread.learn(UNKNOWN, b"z"), 2, "its place is used again");
        assert_eq!(spread.found(), 3);
    }

    #[test]
    fn names_are_bounded_in_number_and_length() {
        let mut spread = Spread::default();
        for number in 0..1000_u32 {
            spread.add(1);
            spread.learn(UNKNOWN, &number.to_be_bytes());
        }
        assert_eq!((spread.replicas(), spread.to_replica(UNKNOWN)), (MAX_REPLICAS, 1000 - MAX_REPLICAS));
        assert_eq!(Spread::default().learn(UNKNOWN, &[b'x'; MAX_NAME + 1]), UNKNOWN);
        assert_eq!(Spread::default().learn(UNKNOWN, b""), UNKNOWN);
    }

    #[test]
    fn both_ends_of_a_connection_that_does_not_answer_are_suspect_until_they_do() {
        let mut spread = known(2);
        spread.add(7);
        spread.suspect(1, 2);
        assert!(spread.is_suspect(1, 1) && spread.is_suspect(7, 2) && !spread.is_suspect(7, 1));
        spread.answered(1, 1);
        assert!(!spread.is_suspect(1, 1) && spread.is_suspect(7, 2), "the node is well");
        spread.answered(7, 2);
        assert!(!spread.is_suspect(1, 2));
        spread.suspect(7, UNKNOWN);
        assert!(!spread.is_suspect(7, UNKNOWN), "a new connection says nothing about the node");
        spread.suspect(1, 2);
        spread.answered(1, 1);
        spread.suspect(7, 2);
        assert!(!spread.is_suspect(7, 1), "the replica explains it");
        assert!(!spread.is_suspect_throughout());
        spread.remove(7, UNKNOWN);
        spread.suspect(1, 1);
        assert!(spread.is_suspect_throughout());
    }

    #[test]
    fn some_replicas_are_expected_if_they_have_no_names() {
        let mut spread = Spread::default();
        assert_eq!(spread.expected(), 0);
        spread.add(1);
        spread.answered(1, UNKNOWN);
        assert_eq!(spread.expected(), UNNAMED);
        let replica = spread.learn(UNKNOWN, b"a");
        spread.answered(1, replica);
        assert_eq!(spread.expected(), 1);
    }

    #[test]
    fn field_that_changes_from_response_to_response_names_no_replica() {
        let mut spread = known(2);
        assert_eq!(spread.learn(1, b"another"), UNKNOWN);
        spread.add(1);
        assert_eq!(spread.learn(UNKNOWN, b"c"), UNKNOWN);
        assert_eq!(spread.learn(2, b"d"), UNKNOWN);
        assert_eq!((spread.to_replica(UNKNOWN), spread.found()), (3, 2));
    }

    #[test]
    fn replicas_are_known_again_when_the_field_names_them_again() {
        let (mut spread, mut now) = (known(2), Instant::now());
        for seconds in [10, 20, 40, 80, 160, 320, 600, 600] {
            // The connection shows another name.
            spread.learn(1, b"another");
            spread.forget(now, |_| true);
            spread.add(1);
            assert_eq!(spread.learn(UNKNOWN, b"a"), UNKNOWN, "{seconds}");
            now += Duration::from_secs(seconds);
            spread.forget(now.checked_sub(Duration::from_millis(1)).unwrap(), |_| true);
            assert_eq!(spread.learn(UNKNOWN, b"a"), UNKNOWN, "{seconds}");
            spread.forget(now, |_| true);
            let replica = spread.learn(UNKNOWN, b"a");
            assert!(replica != UNKNOWN && spread.name(replica) == b"a", "{seconds}");
        }
        now += LONGEST_MISNAMED;
        spread.forget(now, |_| true);
        let replica = spread.learn(UNKNOWN, b"a");
        spread.learn(replica, b"another");
        spread.forget(now, |_| true);
        spread.forget(now + MISNAMED, |_| true);
        assert_ne!(spread.learn(UNKNOWN, b"a"), UNKNOWN, "long ago counts no more");
    }

    #[test]
    fn node_that_refuses_is_asked_less_and_less_often() {
        let (mut spread, now) = (Spread::default(), Instant::now());
        assert!(spread.may_open(1, now));
        for (failures, pause) in [(1, 100), (1, 200), (1, 400), (20, 5000)] {
            (0..failures).for_each(|_| spread.opened(1, false, now));
            let pause = Duration::from_millis(pause);
            assert!(!spread.may_open(1, now + pause - Duration::from_millis(1)) && spread.may_open(1, now + pause));
        }
        spread.opened(1, true, now);
        assert!(spread.may_open(1, now));
        spread.opened(1, false, now);
        spread.answered(1, UNKNOWN);
        assert!(spread.may_open(1, now));
    }

    /// Each replica gives ten responses, with this number of errors.
    fn respond(spread: &mut Spread, errors: &[u64]) {
        for (index, errors) in errors.iter().enumerate() {
            (0..10).for_each(|number| spread.responded(index + 1, number < *errors));
        }
    }

    #[test]
    fn replica_that_errs_more_than_the_others_is_ejected_for_a_while() {
        let (mut spread, now) = (known(3), Instant::now());
        let settings = Ejection::default();
        respond(&mut spread, &[0, 10, 0]);
        let ejected = spread.compare(&settings, now);
        let responses = Responses { total: 10, errors: 10 };
        assert_eq!(ejected, [Ejected { name: "b".to_owned(), responses, duration: settings.base }]);
        assert!(spread.is_ejected(2) && !spread.is_ejected(1) && !spread.is_ejected(3));
        assert_eq!(spread.compare(&settings, now + settings.base / 2), []);
        assert!(spread.is_ejected(2));
        assert_eq!(spread.compare(&settings, now + settings.base), []);
        assert!(!spread.is_ejected(2));
        respond(&mut spread, &[0, 10, 0]);
        let again = spread.compare(&settings, now + settings.base);
        assert_eq!(again.first().map(|ejected| ejected.duration), Some(settings.base * 2));
    }

    #[test]
    fn fault_of_all_replicas_ejects_none() {
        let mut spread = known(3);
        respond(&mut spread, &[10, 9, 10]);
        assert_eq!(spread.compare(&Ejection::default(), Instant::now()), []);
    }

    #[test]
    fn one_of_several_replicas_is_always_left() {
        let (mut spread, settings) = (known(2), Ejection { max_share: 1.0, ..Ejection::default() });
        respond(&mut spread, &[10, 0]);
        assert_eq!(spread.compare(&settings, Instant::now()).len(), 1);
        respond(&mut spread, &[0, 10]);
        assert_eq!(spread.compare(&settings, Instant::now()), []);
    }

    proptest! {
        /// Whatever is idle: no replica that always has an idle connection waits for more turns than there are
        /// replicas.
        #[test]
        fn every_replica_gets_its_share(count in 1_usize..9, idle in prop::collection::vec(any::<u16>(), 1..300)) {
            let mut spread = known(count);
            let mut got = vec![0_usize; count + 1];
            let mut waits = 0;
            for idle in idle {
                // The first one always has an idle connection.
                let has_idle = |replica: usize| replica == 1 || (replica > 0 && idle >> replica & 1 == 1);
                let next = spread.next(None, false, has_idle).unwrap();
                spread.take_turn(next.replica);
                got[next.replica] += 1;
                waits = if next.replica == 1 { 0 } else { waits + 1 };
                prop_assert!(waits < count, "{waits} turns without the first of {count}");
            }
        }

        /// The counts of replicas and nodes agree, whatever happens.
        #[test]
        fn connections_are_counted_once(steps in prop::collection::vec((0_u8..3, 0_u64..3, any::<u8>()), 0..200)) {
            let mut spread = Spread::default();
            let mut open: Vec<(u64, usize)> = Vec::new();
            for (step, node, name) in steps {
                match (step, open.is_empty()) {
                    (0, _) | (_, true) => {
                        spread.add(node);
                        open.push((node, UNKNOWN));
                    }
                    (1, false) => {
                        let index = usize::from(name) % open.len();
                        if open[index].1 == UNKNOWN {
                            open[index].1 = spread.learn(UNKNOWN, &[name % 5 + 1]);
                        }
                    }
                    _ => {
                        let (node, replica) = open.swap_remove(usize::from(name) % open.len());
                        spread.remove(node, replica);
                        spread.forget(Instant::now(), |_| false);
                    }
                }
                for node in 0..3 {
                    prop_assert_eq!(spread.to_node(node), open.iter().filter(|(at, _)| *at == node).count());
                }
                for replica in 0..8 {
                    prop_assert_eq!(spread.to_replica(replica), open.iter().filter(|(_, at)| *at == replica).count());
                }
            }
        }
    }
}
