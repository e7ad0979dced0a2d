//! The idle connections of one worker to the nodes of a mesh, by replica.
//!
//! Generic over the connection, so that the order is tested without sockets.

use std::collections::VecDeque;

use super::spread::{Spread, UNKNOWN};

/// Idle connections by replica; in each list the most recently used last.
#[derive(Debug)]
pub struct Warm<C> {
    by_replica: Vec<VecDeque<C>>,
    /// See [`set_rotation`](Self::set_rotation).
    rotation: Rotation,
}

/// How many connections take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Of each replica.
    pub known: usize,
    /// Of those whose replica is not known.
    pub unknown: usize,
    /// Those not known come first: only a request can show who they are.
    pub unknown_first: bool,
}

impl<C> Default for Warm<C> {
    fn default() -> Self {
        let rotation = Rotation { known: 2, unknown: 4, unknown_first: false };
        Self { by_replica: Vec::new(), rotation }
    }
}

impl<C> Warm<C> {
    /// Sets how many connections of a replica take turns. Those beyond are used only when all of these are busy, and so
    /// expire after a rush.
    pub fn set_rotation(&mut self, rotation: Rotation) {
        self.rotation = rotation;
    }

    /// Adds a connection to the replica at this index, behind those that were used before it, for which `is_older`
    /// returns true.
    pub fn put(&mut self, replica: usize, connection: C, is_older: impl Fn(&C) -> bool) {
        while self.by_replica.len() <= replica {
            self.by_replica.push(VecDeque::new());
        }
        if let Some(idle) = self.by_replica.get_mut(replica) {
            // Mostly it was the last one that was used.
            let position = idle.iter().rposition(is_older).map_or(0, |last| last + 1);
            idle.insert(position, connection);
        }
    }

    /// Takes a connection that `allow` accepts, to the replica whose turn it is; not to one that is ejected, except
    /// with `even_ejected`.
    pub fn take(&mut self, spread: &mut Spread, even_ejected: bool, allow: impl Fn(&Spread, &C) -> bool) -> Option<C> {
        let mut after = None;
        loop {
            let has_idle = |replica: usize| self.by_replica.get(replica).is_some_and(|idle| !idle.is_empty());
            let wanted = |replica: usize| has_idle(replica) && (even_ejected || !spread.is_ejected(replica));
            let turn = spread.next(after, self.rotation.unknown_first, wanted)?;
            let turns = if turn.replica == UNKNOWN { self.rotation.unknown } else { self.rotation.known };
            if let Some(idle) = self.by_replica.get_mut(turn.replica) {
                let first = idle.len().saturating_sub(turns.max(1));
                let mut order = (first..idle.len()).chain((0..first).rev());
                let found =
                    order.find(|position| idle.get(*position).is_some_and(|connection| allow(spread, connection)));
                if let Some(connection) = found.and_then(|position| idle.remove(position)) {
                    spread.take_turn(turn.replica);
                    return Some(connection);
                }
            }
            after = Some(turn);
        }
    }

    /// Takes out the connections for which `wanted` returns true, at most `max`.
    pub fn extract(&mut self, max: usize, mut wanted: impl FnMut(&mut C) -> bool) -> Vec<C> {
        let mut extracted = Vec::new();
        for idle in &mut self.by_replica {
            let mut position = 0;
            while position < idle.len() && extracted.len() < max {
                if idle.get_mut(position).is_some_and(&mut wanted) {
                    extracted.extend(idle.remove(position));
                } else {
                    position += 1;
                }
            }
        }
        extracted
    }

    /// All connections.
    pub fn iter(&self) -> impl Iterator<Item = &C> {
        self.by_replica.iter().flatten()
    }

    /// All connections.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut C> {
        self.by_replica.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;
    use crate::config::Ejection;

    /// A connection: the index of its replica, and its number.
    type Numbered = (usize, usize);

    /// Connections to each replica, as many as its number in `counts`, the first being those not known.
    fn warm(counts: &[usize]) -> (Spread, Warm<Numbered>) {
        let (mut spread, mut warm) = (Spread::default(), Warm::default());
        let mut number = 0;
        for (replica, count) in counts.iter().enumerate() {
            for _ in 0..*count {
                spread.add(1);
                let name = [u8::try_from(replica).unwrap()];
                let at = if replica == UNKNOWN { UNKNOWN } else { spread.learn(UNKNOWN, &name) };
                assert_eq!(at, replica);
                warm.put(at, (replica, number), |_| true);
                number += 1;
            }
        }
        (spread, warm)
    }

    /// Serves `requests` one after the other, and returns how many each connection got.
    fn serve(spread: &mut Spread, warm: &mut Warm<Numbered>, requests: usize) -> Vec<Numbered> {
        let mut served = Vec::new();
        for _ in 0..requests {
            let connection = warm.take(spread, false, |_, _| true).unwrap();
            served.push(connection);
            warm.put(connection.0, connection, |_| true);
        }
        served
    }

    #[test]
    fn six_replicas_get_equal_shares_whatever_number_of_connections_each_has() {
        let (mut spread, mut warm) = warm(&[2, 1, 7, 2, 3, 1, 4]);
        let served = serve(&mut spread, &mut warm, 600);
        for replica in 1..=6 {
            assert_eq!(served.iter().filter(|(at, _)| *at == replica).count(), 100, "{replica}");
        }
    }

    #[test]
    fn connections_that_are_not_needed_are_left_alone() {
        let (mut spread, mut warm) = warm(&[0, 9]);
        let mut numbers: Vec<_> = serve(&mut spread, &mut warm, 50).into_iter().map(|(_, number)| number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, [7, 8]);
    }

    #[test]
    fn a_connection_that_was_only_asked_returns_to_its_place() {
        let (mut spread, mut warm) = warm(&[0, 9]);
        for asked in 0..7 {
            for connection in warm.extract(1, |(_, number)| *number == asked) {
                warm.put(1, connection, |(_, number)| *number < asked);
            }
        }
        let mut numbers: Vec<_> = serve(&mut spread, &mut warm, 50).into_iter().map(|(_, number)| number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, [7, 8], "the others are not needed");
    }

    #[test]
    fn connections_without_a_name_take_turns() {
        let (mut spread, mut warm) = warm(&[9]);
        warm.set_rotation(Rotation { known: 2, unknown: 6, unknown_first: false });
        let served = serve(&mut spread, &mut warm, 60);
        for number in 3..9 {
            assert_eq!(served.iter().filter(|(_, its)| *its == number).count(), 10);
        }
    }

    #[test]
    fn what_is_not_allowed_is_passed_over() {
        let (mut spread, mut warm) = warm(&[1, 3, 1]);
        assert_eq!(
            warm.take(&mut spread, false, |_, (_, number)| *number == 1),
            Some((1, 1)),
            "though it is not in the rotation"
        );
        assert_eq!(warm.take(&mut spread, false, |_, (replica, _)| *replica == UNKNOWN), Some((UNKNOWN, 0)));
        assert_eq!(warm.take(&mut spread, false, |_, _| false), None);
        assert_eq!(warm.iter().count(), 3);
    }

    #[test]
    fn ejected_replica_is_passed_over() {
        let (mut spread, mut warm) = warm(&[0, 1, 1]);
        for _ in 0..10 {
            spread.responded(1, true);
            spread.responded(2, false);
        }
        assert_eq!(spread.compare(&Ejection::default(), Instant::now()).len(), 1);
        assert_eq!(warm.take(&mut spread, false, |_, _| true), Some((2, 1)));
        assert_eq!(warm.take(&mut spread, false, |_, _| true), None);
        assert_eq!(warm.take(&mut spread, true, |_, _| true), Some((1, 0)));
    }

    #[test]
    fn no_more_than_wanted_are_extracted() {
        let (_, mut warm) = warm(&[1, 3, 4]);
        assert_eq!(warm.extract(3, |(replica, _)| *replica == 2).len(), 3);
        assert_eq!(warm.extract(9, |_| true).len(), 5);
        assert_eq!(warm.iter().count(), 0);
    }

    proptest! {
        #[test]
        fn an_idle_connection_is_always_found(counts in prop::collection::vec(1_usize..5, 1..8), which in any::<usize>()) {
            let (mut spread, mut warm) = warm(&counts);
            let all: Vec<_> = warm.iter().copied().collect();
            let wanted = all[which % all.len()];
            prop_assert_eq!(warm.take(&mut spread, false, |_, its| *its == wanted), Some(wanted));
            prop_assert_eq!(warm.iter().count(), all.len() - 1);
        }
    }
}
