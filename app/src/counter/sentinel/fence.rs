//! Pure: whether a master may still acknowledge a write, judged by the votes of the sentinels.
//!
//! A master that is cut off or was paused may continue with one replica while the other is promoted; whatever it counts
//! then is lost. Sentinel promotes only after an election: the leader needs the votes of a majority, and of at least
//! `quorum` sentinels. Each sentinel votes at most once in an epoch, stores the vote before it answers, and returns it
//! on request (`sentinelVoteLeader` in Redis's sentinel.c).
//!
//! So if, *after* the replicas have a write, enough sentinels say that they have not voted since the election of this
//! master, the others are not a majority. Then no promotion had begun at that time, and a later one finds a replica
//! that has the write. This does not depend on clocks.
//!
//! An election may also fail. Its votes stay, and must not block the master forever. Each sentinel's vote is settled
//! when a later round has an answer from every sentinel, all of them name this master, and none is in a failover; or
//! after the longest time that Sentinel continues an election and its failover.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use tokio::time::Instant;

/// The longest an election takes (`SENTINEL_ELECTION_TIMEOUT`). The promotion after it may take twice the
/// failover timeout.
const ELECTION: Duration = Duration::from_secs(10);

/// One sentinel's full answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Its run id, under which it votes.
    pub(super) id: String,
    /// The master that it names.
    pub(super) master: SocketAddr,
    /// The epoch of this master's election.
    pub(super) epoch: u64,
    /// The epoch of its own last vote.
    pub(super) vote: u64,
    /// The number of sentinels, itself included.
    pub(super) sentinels: usize,
    /// The number of votes that a leader needs, if that is more than a majority.
    pub(super) quorum: usize,
    /// Its `failover-timeout`.
    pub(super) failover_timeout: Duration,
    /// It leads a failover.
    pub(super) in_failover: bool,
}

/// One sentinel's short answer, for one acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Its run id.
    pub(super) id: String,
    /// The master that it names.
    pub(super) master: SocketAddr,
    /// The epoch of its own last vote.
    pub(super) vote: u64,
}

/// What the answers of some sentinels say about a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::counter) enum Verdict {
    /// No promotion of another had begun when they were asked.
    Confirmed,
    /// A promotion may have begun.
    Doubtful,
    /// There are too few answers.
    Unknown,
}

/// What is known of one sentinel's votes.
struct Vote {
    /// The epoch of the last vote seen.
    epoch: u64,
    /// When that vote was first seen.
    since: Instant,
    /// The epoch of the last vote whose election is over.
    settled: u64,
}

/// What is known of all sentinels.
pub(super) struct Fence {
    /// The master of the newest election, and that election's epoch.
    master: Option<(SocketAddr, u64)>,
    /// The votes by the sentinel's run id.
    votes: HashMap<String, Vote>,
    sentinels: usize,
    quorum: usize,
}

impl Fence {
    /// `configured` is the minimum number of sentinels.
    pub(super) fn new(configured: usize) -> Self {
        Self { master: None, votes: HashMap::new(), sentinels: configured, quorum: 1 }
    }

    /// The master of the newest election.
    pub(super) fn master(&self) -> Option<SocketAddr> {
        self.master.map(|(address, _epoch)| address)
    }

    /// Records the master of a newer election before the round ends.
    pub(super) fn hear(&mut self, view: &View) {
        if self.master.is_some_and(|(_address, epoch)| view.epoch > epoch) {
            self.master = Some((view.master, view.epoch));
        }
    }

    /// Processes a round of answers, at most one from each sentinel, all requested after the previous round had ended.
    /// `configured` is that of [`Fence::new`].
    pub(super) fn round(&mut self, views: &[View], configured: usize, now: Instant) {
        let Some(newest) = views.iter().max_by_key(|view| view.epoch) else { return };
        let master = newest.master;
        self.master = Some((master, newest.epoch));
        // The larger number is safer: more votes may exist.
        self.sentinels = views.iter().map(|view| view.sentinels).max().unwrap_or(0).max(configured);
        self.quorum = views.iter().map(|view| view.quorum).min().unwrap_or(1);
        let quiet = views.iter().all(|view| view.master == master && !view.in_failover);
        let settled = quiet && views.len() >= self.sentinels;
        for view in views {
            let fresh = Vote { epoch: view.vote, since: now, settled: 0 };
            let known = self.votes.entry(view.id.clone()).or_insert(fresh);
            let over = now.saturating_duration_since(known.since) > ELECTION + 2 * view.failover_timeout;
            if settled || over {
                // The vote seen before this round, not the one in it: a newer election may still be in progress.
                known.settled = known.epoch;
            }
            if known.epoch != view.vote {
                known.epoch = view.vote;
                known.since = now;
            }
        }
    }

    /// What `answers`, each from another sentinel, say about `master`.
    pub(super) fn verdict(&self, master: SocketAddr, answers: &[Answer]) -> Verdict {
        let Some((named, epoch)) = self.master else { return Verdict::Unknown };
        if named != master {
            return Verdict::Doubtful;
        }
        let supports = |answer: &&Answer| {
            let settled = self.votes.get(&answer.id).is_some_and(|vote| vote.settled == answer.vote);
            answer.master == master && (answer.vote <= epoch || settled)
        };
        let needed = self.needed();
        if answers.iter().filter(supports).count() >= needed {
            Verdict::Confirmed
        } else if answers.len() >= needed {
            Verdict::Doubtful
        } else {
            Verdict::Unknown
        }
    }

    /// The number of sentinels that must not have voted, so that the others are too few to elect a leader.
    fn needed(&self) -> usize {
        let voters = (self.sentinels / 2 + 1).max(self.quorum);
        (self.sentinels + 1).saturating_sub(voters).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], port))
    }

    fn view(id: usize, port: u16, epoch: u64, vote: u64) -> View {
        View {
            id: id.to_string(),
            master: address(port),
            epoch,
            vote,
            sentinels: 3,
            quorum: 2,
            failover_timeout: TIMEOUT,
            in_failover: false,
        }
    }

    fn answer(id: usize, port: u16, vote: u64) -> Answer {
        Answer { id: id.to_string(), master: address(port), vote }
    }

    fn after(rounds: &[[View; 3]]) -> Fence {
        let mut fence = Fence::new(3);
        for round in rounds {
            fence.round(round, 3, Instant::now());
        }
        fence
    }

    fn calm() -> [View; 3] {
        [1, 2, 3].map(|id| view(id, 1, 4, 4))
    }

    #[test]
    fn two_of_three_sentinels_without_a_new_vote_confirm_the_master_and_one_does_not() {
        let fence = after(&[calm()]);
        assert_eq!(fence.master(), Some(address(1)));
        let yes = [answer(1, 1, 4), answer(2, 1, 3)];
        assert_eq!(fence.verdict(address(1), &yes), Verdict::Confirmed);
        assert_eq!(fence.verdict(address(1), &yes[..1]), Verdict::Unknown);
        assert_eq!(fence.verdict(address(1), &[]), Verdict::Unknown);
        assert_eq!(fence.verdict(address(2), &yes), Verdict::Doubtful, "they name another master");
    }

    #[test]
    fn a_sentinel_that_voted_since_or_names_another_master_does_not_confirm() {
        let fence = after(&[calm()]);
        for other in [answer(2, 1, 5), answer(2, 2, 4)] {
            assert_eq!(fence.verdict(address(1), &[answer(1, 1, 4), other]), Verdict::Doubtful);
        }
        let all = [answer(1, 1, 4), answer(2, 1, 5), answer(3, 1, 4)];
        assert_eq!(fence.verdict(address(1), &all), Verdict::Confirmed, "one vote elects no leader");
    }

    #[test]
    fn the_newest_election_names_the_master() {
        let fence = after(&[[view(1, 1, 4, 5), view(2, 2, 5, 5), view(3, 1, 4, 4)]]);
        assert_eq!(fence.master(), Some(address(2)));
    }

    #[test]
    fn a_failed_election_is_settled_by_two_calm_rounds_of_all_sentinels() {
        let voted = || [view(1, 1, 4, 5), view(2, 1, 4, 5), view(3, 1, 4, 4)];
        let answers = [answer(1, 1, 5), answer(2, 1, 5)];
        assert_eq!(after(&[calm(), voted()]).verdict(address(1), &answers), Verdict::Doubtful);
        assert_eq!(after(&[calm(), voted(), voted()]).verdict(address(1), &answers), Verdict::Confirmed);
        let newer = [answer(1, 1, 6), answer(2, 1, 6)];
        assert_eq!(after(&[calm(), voted(), voted()]).verdict(address(1), &newer), Verdict::Doubtful);
        // The third sentinel may have missed epoch 5 and still hold an election with that number.
        let late = [answer(2, 1, 6), answer(3, 1, 5)];
        assert_eq!(after(&[calm(), voted(), voted()]).verdict(address(1), &late), Verdict::Doubtful);

        let mut leading = voted();
        leading[0].in_failover = true;
        let fence = after(&[calm(), voted(), leading]);
        assert_eq!(fence.verdict(address(1), &answers), Verdict::Doubtful, "its failover continues");
        let mut fence = after(&[calm(), voted()]);
        fence.round(&voted()[..2], 3, Instant::now());
        assert_eq!(fence.verdict(address(1), &answers), Verdict::Doubtful, "the silent sentinel may lead it");
    }

    #[test]
    fn without_all_sentinels_an_election_is_settled_by_time() {
        let start = Instant::now();
        let voted = [view(1, 1, 4, 5), view(2, 1, 4, 5)];
        let answers = [answer(1, 1, 5), answer(2, 1, 5)];
        let mut fence = Fence::new(3);
        fence.round(&voted, 3, start);
        fence.round(&voted, 3, start + ELECTION + 2 * TIMEOUT);
        assert_eq!(fence.verdict(address(1), &answers), Verdict::Doubtful);
        fence.round(&voted, 3, start + ELECTION + 2 * TIMEOUT + Duration::from_millis(1));
        assert_eq!(fence.verdict(address(1), &answers), Verdict::Confirmed);
    }

    proptest! {
        /// For any number of sentinels: those that confirm the master and those that can elect another overlap.
        #[test]
        fn no_majority_remains_beside_the_sentinels_that_confirm_the_master(sentinels in 1..10_usize, quorum in 1..10_usize) {
            let quorum = quorum.min(sentinels);
            let mut fence = Fence::new(sentinels);
            let views: Vec<_> = (0..sentinels)
                .map(|id| View { sentinels, quorum, ..view(id, 1, 4, 4) })
                .collect();
            fence.round(&views, sentinels, Instant::now());
            for supporting in 0..=sentinels {
                let answers: Vec<_> = (0..supporting).map(|id| answer(id, 1, 4)).collect();
                let others = sentinels - supporting;
                let can_elect = others >= (sentinels / 2 + 1).max(quorum);
                prop_assert!(!(fence.verdict(address(1), &answers) == Verdict::Confirmed && can_elect));
            }
        }
    }
}
