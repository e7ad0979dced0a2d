//! Every decision about endpoints that an operator may ask about afterwards.
//!
//! [`Decision`] is the one table. An entry of it is a line of the log, a series of `edge_pool_decisions_total`, an item
//! of `decisions` in `/status.json` and a row of the status page. To make another decision visible, add one line to the
//! table and one to the table in docs/edge.md, which a test compares, and tell of the decision where it is taken:
//!
//! - on the control thread by `PoolHandle::note`;
//! - on a worker by `stats.decisions.add(decision)` of its [`PoolStats`](super::stats::PoolStats): one store, without a
//!   lock or an allocation. The control thread looks at the counters once a second and notes how many there were.
//!
//! What a client can provoke is [frequent](Shown::is_frequent): it is summed up in one item, and logged every ten
//! seconds at most. Reasons and names of replicas may come from the network: they are cut, and characters that would
//! disturb a terminal are replaced.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tracing::{field::display, info, warn};

use self::Level::{Info, Warn};
use super::counter::Counter;
use crate::error::labelled;

/// The most decisions that are remembered, for each pool and in the status.
pub const REMEMBERED: usize = 200;

/// The longest text from the network that is shown, in characters.
const LONGEST: usize = 300;

/// A frequent decision that is repeated within this time after the last one is the same item.
const SAME: Duration = Duration::from_secs(60);

/// The time between two log lines about the same frequent decision.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Things change.
    Info,
    /// Requests may fail, or soon would.
    Warn,
}

/// How a decision is shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// The level of its line in the log.
    pub level: Level,
    /// Whether clients can provoke it, so that many are summed up.
    pub is_frequent: bool,
    /// What was decided, in words.
    pub words: &'static str,
}

/// A decision that is shown each time.
const fn each(level: Level, words: &'static str) -> Shown {
    Shown { level, is_frequent: false, words }
}

/// A decision that is summed up.
const fn sum(level: Level, words: &'static str) -> Shown {
    Shown { level, is_frequent: true, words }
}

labelled! {
    /// A decision about the endpoints of a pool.
    Decision,
    /// How it is shown.
    shown -> Shown;

    /// A source names a new endpoint.
    EndpointAdded, "endpoint_added", each(Info, "endpoint added");
    /// No source names an endpoint any more.
    EndpointRemoved, "endpoint_removed", each(Info, "endpoint removed");
    /// A source cannot be looked up; its endpoints stay.
    SourceFailed, "source_failed", each(Warn, "source lookup failed");
    /// A source can be looked up again.
    SourceRecovered, "source_recovered", each(Info, "source lookup succeeds again");
    /// Enough checks passed.
    Healthy, "healthy", each(Info, "endpoint is healthy");
    /// Enough checks failed.
    Unhealthy, "unhealthy", each(Warn, "endpoint is unhealthy");
    /// Enough checks of an endpoint failed that the operator drained: it was probably stopped.
    DrainedUnhealthy, "drained_unhealthy", each(Info, "endpoint that the operator drained is unhealthy");
    /// The endpoint announced that it drains.
    Draining, "draining", each(Info, "endpoint is draining");
    /// Requests failed, one on trial among them, or their responses were server errors.
    Ejected, "ejected", each(Warn, "endpoint is ejected");
    /// An ejection or a probation ended early, because too large a share of the pool is ejected.
    EjectionEnded, "ejection_ended", each(Info, "endpoint ejection ended");
    /// An ejection was due, but the pool cannot spare the endpoint.
    EjectionRefused, "ejection_refused", sum(Warn, "endpoint is not ejected, because the pool cannot spare it");
    /// The time of an ejection is over.
    ProbationBegan, "probation_began", each(Info, "endpoint is on probation");
    /// A request on trial succeeded.
    ProbationPassed, "probation_passed", each(Info, "endpoint passed its probation");
    /// A request on trial failed, but no other endpoint gets requests, or the endpoint drains.
    ProbationGoesOn, "probation_goes_on", sum(Warn, "endpoint stays on probation");
    /// The endpoint is new or recovered.
    SlowStart, "slow_start", each(Info, "endpoint starts slowly");
    /// Behind a mesh: a check failed, but another connection to the node answered.
    CheckOverruled, "check_overruled", sum(Info, "a failed check does not count: another connection to the node answers");
    /// The endpoint sent bytes that belong to no request.
    ReuseEnded, "reuse_ended", each(Warn, "endpoint sent bytes after a response: its connections are not reused");
    /// The operator ended a drain or a maintenance.
    OrderedReady, "ordered_ready", each(Info, "endpoint is made ready by the operator");
    /// The operator drains the endpoint.
    OrderedDrain, "ordered_drain", each(Info, "endpoint is drained by the operator");
    /// The operator takes the endpoint into maintenance.
    OrderedMaintenance, "ordered_maintenance", each(Info, "endpoint is taken into maintenance by the operator");
    /// Health is ignored.
    PanicBegan, "panic_began", each(Warn, "too few endpoints are healthy: using all of them");
    /// Health counts again.
    PanicEnded, "panic_ended", each(Info, "enough endpoints are healthy again");
    /// Endpoints that drain get requests.
    DrainingUsed, "draining_used", each(Warn, "no other endpoint is healthy: using those that drain");
    /// Endpoints that drain get no requests again.
    DrainingSpared, "draining_spared", each(Info, "no longer using endpoints that drain");
    /// A further tier stands in.
    TierChanged, "tier_changed", each(Warn, "too few endpoints of the first tier are usable: using a further tier");
    /// The first tier suffices again.
    FirstTierUsed, "first_tier_used", each(Info, "enough endpoints of the first tier are usable again");
    /// Other zones help.
    ZoneLeft, "zone_left", each(Warn, "too few endpoints of this zone are usable: using those of all zones");
    /// The own zone suffices again.
    OwnZoneUsed, "own_zone_used", each(Info, "enough endpoints of this zone are usable: using only those");
    /// Behind a mesh: a replica named itself that was not known.
    ReplicaFound, "replica_found", each(Info, "replica appeared");
    /// Behind a mesh: no connection has led to a replica for a while.
    ReplicaLost, "replica_lost", each(Info, "replica is gone");
    /// Behind a mesh: a replica gives far more server errors than the others.
    ReplicaEjected, "replica_ejected", each(Warn, "replica is ejected");
    /// Behind a mesh: no worker ejects a replica any more.
    ReplicaReturned, "replica_returned", each(Info, "replica ejection ended");
    /// Behind a mesh: a connection to a replica did not answer.
    ReplicaSuspected, "replica_suspected", sum(Warn, "a connection did not answer: requests avoid its replica until another one answers");
    /// Behind a mesh: a connection to a node did not answer.
    NodeSuspected, "node_suspected", sum(Warn, "a connection did not answer: requests avoid its node until another one answers");
    /// Behind a mesh: a connection was late, so that a second one was opened.
    Raced, "raced", sum(Info, "a new connection was late: a second one was opened");
    /// Behind a mesh: the second connection was open first.
    RaceWon, "race_won", sum(Info, "the second connection was open first");
    /// An attempt failed and the request was sent again.
    Retried, "retried", sum(Info, "requests were sent again");
    /// A request could be sent again, but the budget of retries is used up.
    OverBudget, "over_budget", sum(Warn, "requests were not sent again: the budget of retries is used up");
    /// A request was sent to a second endpoint, because the first one was slow.
    Hedged, "hedged", sum(Info, "requests were sent to a second endpoint, because the first one was slow");
    /// The second endpoint responded first.
    HedgeWon, "hedge_won", sum(Info, "the second endpoint responded first");
    /// A request that cannot be sent again avoided a suspect endpoint.
    Diverted, "diverted", sum(Info, "requests that cannot be sent again avoided an endpoint that failed lately or is silent");
    /// All endpoints failed, and the request begins with the first again.
    TriedAgain, "tried_again", sum(Warn, "all endpoints failed a request: they are tried again");
    /// There was no endpoint.
    NoEndpoint, "no_endpoint", sum(Warn, "requests got no endpoint");
    /// A request waited for a connection.
    Queued, "queued", sum(Info, "requests waited: every usable endpoint has as many connections as allowed");
    /// A request waited for too long.
    QueueTimedOut, "queue_timed_out", sum(Warn, "requests waited for a connection for too long");
    /// Too many requests waited.
    QueueOverflowed, "queue_overflowed", sum(Warn, "requests could not wait for a connection: too many wait");
    /// A session got another endpoint.
    SessionMoved, "session_moved", sum(Info, "sessions moved to another endpoint: theirs gets no requests or failed them");
}

/// One copy of the counters of all decisions.
#[derive(Debug)]
pub struct DecisionCounters([Counter; Decision::COUNT]);

impl Default for DecisionCounters {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl DecisionCounters {
    /// Counts a decision. Only the owner of the counters may call this.
    pub fn add(&self, decision: Decision) {
        self.add_many(decision, 1);
    }

    /// How often it was taken.
    #[must_use]
    pub fn count(&self, decision: Decision) -> u64 {
        self.0.get(decision as usize).map_or(0, Counter::value)
    }

    fn add_many(&self, decision: Decision, count: u64) {
        if let Some(counter) = self.0.get(decision as usize) {
            counter.add(count);
        }
    }
}

/// A decision with what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Note<'a> {
    /// What was decided.
    pub decision: Decision,
    /// The endpoint; `None` for a decision about the pool.
    pub endpoint: Option<SocketAddr>,
    /// The replica behind a mesh, as it names itself.
    pub replica: Option<&'a str>,
    /// The source of the endpoint.
    pub source: Option<&'a str>,
    /// Why; may be empty.
    pub reason: &'a str,
    /// The operator's order, the one before, and the address from which it came if that is known.
    pub order: Option<(&'static str, &'static str, Option<SocketAddr>)>,
    /// How often since the last note.
    pub count: u64,
}

impl<'a> Note<'a> {
    /// A decision about a pool.
    #[must_use]
    pub fn new(decision: Decision, reason: &'a str) -> Self {
        Self { decision, endpoint: None, replica: None, source: None, reason, order: None, count: 1 }
    }

    /// A decision about an endpoint.
    #[must_use]
    pub fn at(decision: Decision, endpoint: SocketAddr, reason: &'a str) -> Self {
        Self { endpoint: Some(endpoint), ..Self::new(decision, reason) }
    }
}

/// A decision that was taken lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recent {
    /// What was decided.
    pub decision: Decision,
    /// The endpoint; `None` for a decision about the pool.
    pub endpoint: Option<SocketAddr>,
    /// The replica behind a mesh.
    pub replica: Option<String>,
    /// Why; may be empty.
    pub reason: String,
    /// How often, if it is frequent.
    pub count: u64,
    /// When it was first taken.
    pub first: SystemTime,
    /// When it was last taken.
    pub last: SystemTime,
    /// When it was last logged.
    logged: SystemTime,
    /// How often since.
    unlogged: u64,
}

/// The decisions of one pool. Written by the control thread, read by the admin listener on the same thread.
#[derive(Debug, Default)]
pub struct Decisions {
    counts: DecisionCounters,
    /// In the order in which they were first taken, at most [`REMEMBERED`].
    recent: Mutex<VecDeque<Recent>>,
}

impl Decisions {
    /// How often the control thread took a decision.
    #[must_use]
    pub fn count(&self, decision: Decision) -> u64 {
        self.counts.count(decision)
    }

    /// Those that were taken lately.
    #[must_use]
    pub fn recent(&self) -> Vec<Recent> {
        self.lock().iter().cloned().collect()
    }

    /// Counts a decision, logs and remembers it.
    pub fn note(&self, pool: &str, note: &Note<'_>, now: SystemTime) {
        self.counts.add_many(note.decision, note.count);
        self.show(pool, note, now);
    }

    /// Logs and remembers a decision that workers have counted.
    pub fn show(&self, pool: &str, note: &Note<'_>, now: SystemTime) {
        let (reason, replica) = (printable(note.reason), note.replica.map(printable));
        let note = Note { reason: &reason, replica: replica.as_deref(), ..*note };
        if let Some(count) = self.remember(&note, now) {
            log(pool, &note, count);
        }
    }

    /// Adds it to the list. Returns the number for its log line if that is due.
    fn remember(&self, note: &Note<'_>, now: SystemTime) -> Option<u64> {
        let mut recent = self.lock();
        // A clock that was set back must not silence the log.
        let is_within = |time: SystemTime, limit| now.duration_since(time).is_ok_and(|since| since < limit);
        let is_same = |one: &&mut Recent| {
            one.decision == note.decision
                && one.endpoint == note.endpoint
                && one.replica.as_deref() == note.replica
                && is_within(one.last, SAME)
        };
        let same = if note.decision.shown().is_frequent { recent.iter_mut().rev().find(is_same) } else { None };
        if let Some(same) = same {
            note.reason.clone_into(&mut same.reason);
            (same.last, same.count) = (now, same.count.saturating_add(note.count));
            same.unlogged = same.unlogged.saturating_add(note.count);
            if is_within(same.logged, BETWEEN_LINES) {
                return None;
            }
            same.logged = now;
            return Some(std::mem::take(&mut same.unlogged));
        }
        if recent.len() >= REMEMBERED {
            recent.pop_front();
        }
        recent.push_back(Recent {
            decision: note.decision,
            endpoint: note.endpoint,
            replica: note.replica.map(str::to_owned),
            reason: note.reason.to_owned(),
            count: note.count,
            first: now,
            last: now,
            logged: now,
            unlogged: 0,
        });
        Some(note.count)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Recent>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes text from the network harmless: without control characters and those that change the direction or the order
/// of what follows, and not too long.
#[must_use]
pub fn printable(text: &str) -> String {
    let is_harmful = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut letters = text.chars();
    let mut shown: String = letters
        .by_ref()
        .take(LONGEST)
        .map(|letter| if is_harmful(letter) { char::REPLACEMENT_CHARACTER } else { letter })
        .collect();
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

fn log(pool: &str, note: &Note<'_>, count: u64) {
    let Note { decision, replica, source, reason, order, .. } = *note;
    let Shown { level, words, .. } = decision.shown();
    let endpoint = note.endpoint.map(display);
    let client = order.and_then(|(_, _, client)| client).map(display);
    let (order, order_before) = order.map(|(order, before, _)| (order, before)).unzip();
    let (reason, count) = ((!reason.is_empty()).then_some(reason), (count != 1).then_some(count));
    let decision = decision.label();
    // The level of a line must be a constant.
    macro_rules! line {
        ($level:ident) => {
            $level!(pool, endpoint, replica, source, decision, reason, order, order_before, client, count, "{words}")
        };
    }
    match level {
        Info => line!(info),
        Warn => line!(warn),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::UNIX_EPOCH};

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn note(decision: Decision, last: u8) -> Note<'static> {
        Note::at(decision, ([10, 0, 0, last], 80).into(), "because")
    }

    #[test]
    fn a_decision_is_the_index_of_its_counter_and_has_a_name_of_its_own() {
        for (index, decision) in Decision::ALL.into_iter().enumerate() {
            assert_eq!(decision as usize, index, "{decision:?}");
        }
        let labels: HashSet<_> = Decision::ALL.into_iter().map(Decision::label).collect();
        assert_eq!(labels.len(), Decision::COUNT);
    }

    #[test]
    fn every_flip_is_remembered_by_itself() {
        let decisions = Decisions::default();
        for second in 0..3 {
            assert_eq!(decisions.remember(&note(Decision::Unhealthy, 1), at(second)), Some(1));
            assert_eq!(decisions.remember(&note(Decision::Healthy, 1), at(second)), Some(1));
        }
        assert_eq!(decisions.recent().len(), 6);
    }

    #[test]
    fn frequent_decisions_are_summed_up_and_logged_every_ten_seconds() {
        let decisions = Decisions::default();
        let many = Note { count: 100, ..Note::new(Decision::Retried, "connect_failed 100") };
        let lines: Vec<_> = (0..25).map(|second| decisions.remember(&many, at(second))).collect();
        let mut expected = vec![None; 25];
        (expected[0], expected[10], expected[20]) = (Some(100), Some(1000), Some(1000));
        assert_eq!(lines, expected);
        // Others are not hidden, and what comes a minute later is another item.
        assert_eq!(decisions.remember(&Note::new(Decision::Queued, ""), at(25)), Some(1));
        assert_eq!(decisions.remember(&note(Decision::EjectionRefused, 1), at(25)), Some(1));
        assert_eq!(decisions.remember(&note(Decision::EjectionRefused, 2), at(25)), Some(1));
        assert_eq!(decisions.remember(&many, at(84)), Some(100));
        let recent = decisions.recent();
        let counts: Vec<_> = recent.iter().map(|recent| (recent.decision, recent.count)).collect();
        let expected = [(Decision::Retried, 2500), (Decision::Queued, 1), (Decision::EjectionRefused, 1)];
        assert_eq!(&counts[..3], &expected);
        assert_eq!((recent[0].first, recent[0].last, counts.len()), (at(0), at(24), 5));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_silence_the_log() {
        let decisions = Decisions::default();
        assert_eq!(decisions.remember(&Note::new(Decision::Queued, ""), at(1000)), Some(1));
        assert_eq!(decisions.remember(&Note::new(Decision::Queued, ""), at(10)), Some(1));
    }

    #[test]
    fn the_list_is_bounded_and_keeps_the_newest() {
        let decisions = Decisions::default();
        for second in 0..1000 {
            decisions.note("web", &note(Decision::Unhealthy, 1), at(second));
        }
        let recent = decisions.recent();
        assert_eq!((recent.len(), recent[0].first), (REMEMBERED, at(1000 - REMEMBERED as u64)));
        assert_eq!(decisions.count(Decision::Unhealthy), 1000);
        assert_eq!(decisions.count(Decision::Healthy), 0);
    }

    #[test]
    fn text_from_the_network_is_harmless_and_short() {
        for (text, expected) in [
            ("web.1", "web.1"),
            ("é<b>\"", "é<b>\""),
            ("a\nb\u{1b}[2J", "a\u{fffd}b\u{fffd}[2J"),
            ("\u{202e}evil", "\u{fffd}evil"),
        ] {
            assert_eq!(printable(text), expected);
        }
        assert_eq!(printable(&"x".repeat(100_000)).chars().count(), LONGEST + 1);
        let decisions = Decisions::default();
        let name = format!("\r\n{}", "é".repeat(1000));
        let hostile = Note { replica: Some(&name), reason: &name, ..Note::new(Decision::ReplicaFound, "") };
        decisions.note("web", &hostile, at(0));
        let recent = decisions.recent();
        assert!(recent[0].reason.starts_with('\u{fffd}') && recent[0].reason.chars().count() == LONGEST + 1);
        assert_eq!(recent[0].replica.as_ref(), Some(&recent[0].reason));
    }

    #[test]
    fn the_documentation_lists_every_decision() {
        let text = include_str!("../../../docs/edge.md");
        for decision in Decision::ALL {
            let level = match decision.shown().level {
                Info => "info",
                Warn => "warn",
            };
            let row = format!("| `{}` | {level} |", decision.label());
            assert!(text.contains(&row), "docs/edge.md lacks {row}");
        }
    }
}
