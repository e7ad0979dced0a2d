//! Pure: whether a master may still acknowledge, by what the sentinels have voted.
//!
//! A master that is cut off or was paused may go on with one replica while another is promoted; what it
//! counts then is lost. Sentinel promotes only after an election: its leader needs the votes of a
//! majority, and of no fewer than `quorum`, and each sentinel votes at most once in an epoch, writes the
//! vote down before it answers, and tells it to whoever asks (`sentinelVoteLeader` in Redis's
//! sentinel.c). So when, *after* the replicas have a write, so many sentinels say that they have not
//! voted since the election that made this master, that no majority is left, then no promotion had begun
//! by then, and a later one finds a replica that has the write. Clocks play no part.
//!
//! An election may also come to nothing: its votes stay, and must not bar the master for ever. They are
//! settled, for each sentinel by itself, when a later round has an answer from every sentinel, all name
//! this master, and none is in a failover; or after the longest time that Sentinel goes on with one.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use tokio::time::Instant;

/// The longest an election takes (`SENTINEL_ELECTION_TIMEOUT`). The promotion after it may take the
/// fail-over time-out twice.
const ELECTION: Duration = Duration::from_secs(10);

/// What one sentinel says when it is asked everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Its run id, by which it votes.
    pub(super) id: String,
    /// The master that it names.
    pub(super) master: SocketAddr,
    /// The epoch of the election that made this master.
    pub(super) epoch: u64,
    /// The epoch of its own last vote.
    pub(super) vote: u64,
    /// Sentinels in all, itself among them.
    pub(super) sentinels: usize,
    pub(super) quorum: usize,
    pub(super) failover_timeout: Duration,
    /// It leads a failover.
    pub(super) in_failover: bool,
}

/// What one sentinel says when it is asked before an acknowledgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) id: String,
    pub(super) master: SocketAddr,
    pub(super) vote: u64,
}

/// What the answers of some sentinels say about a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::counter) enum Verdict {
    /// No promotion had begun when they were asked.
    Master,
    /// One may have.
    Doubtful,
    /// Too few answers to tell.
    Unknown,
}

struct Vote {
    /// The last one seen, and since when.
    epoch: u64,
    since: Instant,
    /// The last one that cannot lead to anything any more.
    settled: u64,
}

/// What is known of all sentinels.
pub(super) struct Fence {
    master: Option<(SocketAddr, u64)>,
    votes: HashMap<String, Vote>,
    sentinels: usize,
    quorum: usize,
}

impl Fence {
    /// `configured` is how many sentinels there are at least.
    pub(super) fn new(configured: usize) -> Self {
        Self { master: None, votes: HashMap::new(), sentinels: configured, quorum: 1 }
    }

    /// The master by the newest election.
    pub(super) fn master(&self) -> Option<SocketAddr> {
        self.master.map(|(address, _epoch)| address)
    }

    /// Takes in that a newer election than the known one has made another master, before the round ends.
    pub(super) fn hear(&mut self, view: &View) {
        if self.master.is_some_and(|(_address, epoch)| view.epoch > epoch) {
            self.master = Some((view.master, view.epoch));
        }
    }

    /// Takes in a round of answers, of at most one for each sentinel, all asked after the round before
    /// had ended; `configured` as in [`Fence::new`].
    pub(super) fn round(&mut self, views: &[View], configured: usize, now: Instant) {
        let Some(newest) = views.iter().max_by_key(|view| view.epoch) else { return };
        let master = newest.master;
        self.master = Some((master, newest.epoch));
        // Larger numbers are the safe side: more votes may be out there.
        self.sentinels = views.iter().map(|view| view.sentinels).max().unwrap_or(0).max(configured);
        self.quorum = views.iter().map(|view| view.quorum).min().unwrap_or(1);
        let quiet = views.iter().all(|view| view.master == master && !view.in_failover);
        let settled = quiet && views.len() >= self.sentinels;
        for view in views {
            let fresh = Vote { epoch: view.vote, since: now, settled: 0 };
            let known = self.votes.entry(view.id.clone()).or_insert(fresh);
            let over = now.saturating_duration_since(known.since) > ELECTION + 2 * view.failover_timeout;
            if settled || over {
                // What was seen before this round, not in it: what began since may go on.
                known.settled = known.epoch;
            }
            if known.epoch != view.vote {
                known.epoch = view.vote;
                known.since = now;
            }
        }
    }

    /// What `answers`, of different sentinels, say about `master`.
    pub(super) fn verdict(&self, master: SocketAddr, answers: &[Answer]) -> Verdict {
        let Some((named, epoch)) = self.master else { return Verdict::Unknown };
        if named != master {
            return Verdict::Doubtful;
        }
        let stands = |answer: &&Answer| {
            let settled = self.votes.get(&answer.id).is_some_and(|vote| vote.settled == answer.vote);
            answer.master == master && (answer.vote <= epoch || settled)
        };
        let needed = self.needed();
        if answers.iter().filter(stands).count() >= needed {
            Verdict::Master
        } else if answers.len() >= needed {
            Verdict::Doubtful
        } else {
            Verdict::Unknown
        }
    }

    /// With so many that have not voted, too few are left to elect a leader.
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
    fn two_of_three_that_have_not_voted_are_enough_and_one_is_not() {
        let fence = after(&[calm()]);
        assert_eq!(fence.master(), Some(address(1)));
        let yes = [answer(1, 1, 4), answer(2, 1, 3)];
        assert_eq!(fence.verdict(address(1), &yes), Verdict::Master);
        assert_eq!(fence.verdict(address(1), &yes[..1]), Verdict::Unknown);
        assert_eq!(fence.verdict(address(1), &[]), Verdict::Unknown);
        assert_eq!(fence.verdict(address(2), &yes), Verdict::Doubtful, "it is another's answer");
    }

    #[test]
    fn a_vote_since_the_master_s_own_election_or_another_name_is_none_for_it() {
        let fence = after(&[calm()]);
        for other in [answer(2, 1, 5), answer(2, 2, 4)] {
            assert_eq!(fence.verdict(address(1), &[answer(1, 1, 4), other]), Verdict::Doubtful);
        }
        let all = [answer(1, 1, 4), answer(2, 1, 5), answer(3, 1, 4)];
        assert_eq!(fence.verdict(address(1), &all), Verdict::Master, "one vote elects nobody");
    }

    #[test]
    fn the_newest_election_names_the_master() {
        let fence = after(&[[view(1, 1, 4, 5), view(2, 2, 5, 5), view(3, 1, 4, 4)]]);
        assert_eq!(fence.master(), Some(address(2)));
    }

    #[test]
    fn an_election_that_came_to_nothing_is_settled_by_two_calm_rounds_of_all() {
        let voted = || [view(1, 1, 4, 5), view(2, 1, 4, 5), view(3, 1, 4, 4)];
        let answers = [answer(1, 1, 5), answer(2, 1, 5)];
        assert_eq!(after(&[calm(), voted()]).verdict(address(1), &answers), Verdict::Doubtful);
        assert_eq!(after(&[calm(), voted(), voted()]).verdict(address(1), &answers), Verdict::Master);
        let newer = [answer(1, 1, 6), answer(2, 1, 6)];
        assert_eq!(after(&[calm(), voted(), voted()]).verdict(address(1), &newer), Verdict::Doubtful);
        // The third may not have heard of epoch 5 and still hold an election of that number.
        let late = [answer(2, 1, 6), answer(3, 1, 5)];
        assert_eq!(after(&[calm(), voted(), voted()]).verdict(address(1), &late), Verdict::Doubtful);

        let mut leading = voted();
        leading[0].in_failover = true;
        let fence = after(&[calm(), voted(), leading]);
        assert_eq!(fence.verdict(address(1), &answers), Verdict::Doubtful, "it goes on");
        let mut fence = after(&[calm(), voted()]);
        fence.round(&voted()[..2], 3, Instant::now());
        assert_eq!(fence.verdict(address(1), &answers), Verdict::Doubtful, "the silent one may lead it");
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
        assert_eq!(fence.verdict(address(1), &answers), Verdict::Master);
    }

    proptest! {
        /// However many there are: who stands by the master and who elects another share a member.
        #[test]
        fn no_majority_is_left_beside_those_that_stand_by_the_master(sentinels in 1..10_usize, quorum in 1..10_usize) {
            let quorum = quorum.min(sentinels);
            let mut fence = Fence::new(sentinels);
            let views: Vec<_> = (0..sentinels)
                .map(|id| View { sentinels, quorum, ..view(id, 1, 4, 4) })
                .collect();
            fence.round(&views, sentinels, Instant::now());
            for standing in 0..=sentinels {
                let answers: Vec<_> = (0..standing).map(|id| answer(id, 1, 4)).collect();
                let others = sentinels - standing;
                let can_elect = others >= (sentinels / 2 + 1).max(quorum);
                prop_assert!(!(fence.verdict(address(1), &answers) == Verdict::Master && can_elect));
            }
        }
    }
}
