//! How many connections a worker keeps to each node of a mesh, which it opens ahead of need, and when it looks for
//! replicas that it does not know. Pure: time and randomness are arguments.

use std::time::Duration;

use tokio::time::Instant;

/// The fewest warm connections of a worker to a node, while nothing is known of replicas.
const FEWEST: usize = 2;

/// The most warm connections of a worker to one node.
const MOST: usize = 32;

/// The most warm connections of a worker to all nodes of a pool.
const MOST_OF_ALL: usize = 256;

/// The most connections of a worker to a node that are opened ahead at the same time.
const OPENING: usize = 4;

/// How often all workers together look for replicas that are not known yet.
const LOOK: Duration = Duration::from_millis(200);

/// How often one worker does after a replica appeared.
const LOOK_EAGERLY: Duration = Duration::from_millis(50);

/// How long it then does. Of twelve replicas, forty random connections miss a particular one in 3 % of all cases.
const EAGER: Duration = Duration::from_secs(2);

/// The number of warm connections of one of `workers` to each of `nodes`: together at least one for each replica at
/// each node, and for each worker at least two for each replica.
#[must_use]
pub fn warm(replicas: usize, nodes: usize, workers: usize) -> usize {
    let (nodes, workers) = (nodes.max(1), workers.max(1));
    let wanted = replicas.div_ceil(workers).max((2 * replicas).div_ceil(nodes)).max(FEWEST);
    wanted.min(MOST).min((MOST_OF_ALL / nodes).max(1))
}

/// The idle connections of a worker to a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idle {
    /// Those that the next request can take.
    pub spare: usize,
    /// Those that no request should take while there are others.
    pub unfit: usize,
}

/// How many connections to a node are opened now, ahead of need: until `warm` are open, and one is a spare. `open`
/// includes the `idle` ones, and `opening` are under way. A new connection may lead to the replica that makes others
/// unfit, so no more are opened for a spare when as many as `warm` are unfit.
#[must_use]
pub fn missing(warm: usize, open: usize, idle: Idle, opening: usize) -> usize {
    let to_warm = warm.saturating_sub(open + opening);
    let to_spare = usize::from(idle.spare + opening == 0 && idle.unfit < warm);
    to_warm.max(to_spare).min(OPENING.saturating_sub(opening))
}

/// How many of the `max` connections that a node may have can be opened ahead of need; the rest is left to requests.
#[must_use]
pub fn ahead(max: usize, workers: usize) -> usize {
    max.saturating_sub((max / 4).max(workers))
}

/// What becomes of a connection that was opened to look for a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays.
    Keep,
    /// It stays, and an idle connection of the same node to the replica at this index is closed.
    Replace(usize),
    /// It is closed.
    Close,
}

/// Decides about a connection whose replica has `own` connections with it, at a node that has `open` connections with
/// it and should have `warm`. `idle` are the replicas with an idle connection at that node, each with the number of all
/// its connections. The numbers of connections even out.
#[must_use]
pub fn judge(own: usize, open: usize, warm: usize, idle: impl IntoIterator<Item = (usize, usize)>) -> Verdict {
    if open <= warm {
        return Verdict::Keep;
    }
    match idle.into_iter().max_by_key(|(_, connections)| *connections) {
        Some((replica, connections)) if connections > own => Verdict::Replace(replica),
        _ => Verdict::Close,
    }
}

/// When a worker next looks for replicas.
#[derive(Clone, Copy, Debug)]
pub struct Exploration {
    due: Instant,
    eager_until: Instant,
}

impl Exploration {
    /// Looks eagerly from now on.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { due: now, eager_until: now + EAGER }
    }

    /// A replica appeared, or the last connection to one is gone: there may be more.
    pub fn news(&mut self, now: Instant) {
        self.eager_until = now + EAGER;
        self.due = self.due.min(now + LOOK_EAGERLY);
    }

    /// Whether there were news a moment ago.
    #[must_use]
    pub fn is_eager(&self, now: Instant) -> bool {
        now < self.eager_until
    }

    /// Returns whether one of `workers` must open a connection now, and if so, when the next one is due. `chance` is a
    /// fresh random number from 0.0 to 1.0.
    pub fn is_due(&mut self, now: Instant, workers: usize, chance: f64) -> bool {
        if now < self.due {
            return false;
        }
        let pause = if self.is_eager(now) {
            LOOK_EAGERLY
        } else {
            LOOK.saturating_mul(u32::try_from(workers).unwrap_or(u32::MAX)).mul_f64(0.8 + 0.4 * chance.clamp(0.0, 1.0))
        };
        // A late call does not make the next ones hurry without bound.
        self.due = (self.due + pause).max(now.checked_sub(LOOK).unwrap_or(now));
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn warm_connections_reach_every_replica_through_every_node() {
        for (replicas, nodes, workers, expected) in [
            (0, 3, 1, 2),
            (6, 3, 1, 6),
            (6, 3, 2, 4),
            (6, 1, 2, 12),
            (12, 3, 1, 12),
            (40, 3, 1, 32),
            (100, 100, 4, 2),
            (6, 0, 0, 12),
        ] {
            assert_eq!(warm(replicas, nodes, workers), expected, "{replicas} {nodes} {workers}");
        }
    }

    #[test]
    fn connections_are_opened_until_enough_are_open_and_one_is_idle() {
        for (want, open, spare, unfit, opening, expected) in [
            (6, 0, 0, 0, 0, 4),
            (6, 0, 0, 0, 3, 1),
            (6, 5, 5, 0, 0, 1),
            (6, 6, 6, 0, 0, 0),
            // All are in use: a spare.
            (6, 6, 0, 0, 0, 1),
            (6, 90, 0, 0, 0, 1),
            (6, 90, 0, 0, 1, 0),
            (6, 90, 1, 0, 0, 0),
            // Those that no request should take are none, but not without end.
            (6, 6, 0, 2, 0, 1),
            (6, 11, 0, 5, 0, 1),
            (6, 12, 0, 6, 0, 0),
            (6, 6, 1, 2, 0, 0),
        ] {
            let idle = Idle { spare, unfit };
            assert_eq!(missing(want, open, idle, opening), expected, "{want} {open} {idle:?} {opening}");
        }
    }

    #[test]
    fn part_of_the_limit_is_left_to_requests() {
        for (max, workers, expected) in [(1, 1, 0), (2, 1, 1), (8, 2, 6), (4096, 2, 3072), (10, 64, 0)] {
            assert_eq!(ahead(max, workers), expected, "{max} {workers}");
        }
    }

    #[test]
    fn a_connection_to_a_rare_replica_replaces_one_to_a_common_one() {
        assert_eq!(judge(1, 6, 6, [(1, 5)]), Verdict::Keep);
        assert_eq!(judge(1, 7, 6, [(1, 5), (2, 2)]), Verdict::Replace(1));
        assert_eq!(judge(2, 7, 6, [(2, 2)]), Verdict::Close);
        assert_eq!(judge(1, 7, 6, []), Verdict::Close);
    }

    /// Opens connections to random ones of `replicas`, as exploration does, and returns how many each has at last.
    fn explored(seed: u64, replicas: usize, warm: usize, opened: usize) -> Vec<usize> {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut counts = vec![0_usize; replicas];
        for _ in 0..opened {
            let replica = random.usize(..replicas);
            counts[replica] += 1;
            let open = counts.iter().sum();
            let idle = counts.iter().copied().enumerate().filter(|(_, count)| *count > 0);
            match judge(counts[replica], open, warm, idle) {
                Verdict::Keep => {}
                Verdict::Replace(other) => counts[other] -= 1,
                Verdict::Close => counts[replica] -= 1,
            }
        }
        counts
    }

    #[test]
    fn exploration_is_eager_after_news_and_calm_otherwise() {
        let begin = Instant::now();
        let mut exploration = Exploration::new(begin);
        let count = |exploration: &mut Exploration, from: Instant, seconds: u64| {
            let ticks = (0..seconds * 100).map(|tick| from + Duration::from_millis(tick * 10));
            ticks.filter(|now| exploration.is_due(*now, 1, 0.5)).count()
        };
        assert!((40..=46).contains(&count(&mut exploration, begin, 2)));
        let calm = count(&mut exploration, begin + Duration::from_secs(10), 10);
        assert!((45..=56).contains(&calm), "{calm}");
        let later = begin + Duration::from_secs(30);
        exploration.is_due(later, 1, 0.5);
        exploration.news(later);
        assert!(count(&mut exploration, later, 2) >= 38);
    }

    proptest! {
        /// Whatever the mesh does, the connections even out over the replicas.
        #[test]
        fn connections_even_out(seed in any::<u64>(), replicas in 1_usize..12, per_replica in 1_usize..4) {
            let warm = replicas * per_replica;
            let counts = explored(seed, replicas, warm, 40 * warm);
            prop_assert_eq!(counts.iter().sum::<usize>(), warm);
            prop_assert!(counts.iter().all(|count| count.abs_diff(per_replica) <= 1), "{:?}", counts);
        }

        #[test]
        fn numbers_are_bounded(replicas in 0_usize..100_000, nodes in 0_usize..10_000, workers in 0_usize..2000) {
            let warm = warm(replicas, nodes, workers);
            prop_assert!((1..=MOST).contains(&warm));
            prop_assert!(nodes > MOST_OF_ALL || warm * nodes <= MOST_OF_ALL);
            let idle = Idle { spare: nodes, unfit: replicas };
            prop_assert!(missing(warm, replicas, idle, workers) <= OPENING);
        }
    }
}
