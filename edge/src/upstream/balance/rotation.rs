//! Smooth weighted round robin, as nginx does it (`ngx_http_upstream_get_peer` in `ngx_http_upstream_round_robin.c`,
//! since release 1.3.1).
//!
//! Each candidate has a credit. For each pick, every candidate earns its weight, the one with the most credit is
//! picked, and it pays what all have earned. With the weights 5, 1 and 1 the order is a a b a c a a: each gets its
//! share in every round of 7 picks, and the picks of the heavy one are spread over the round.
//!
//! A pick takes time in proportion to the number of candidates. Without weights no pick comes here.

use std::collections::HashMap;

use super::Candidates;

/// The most picks by which workers begin at different places of the round.
const HEAD_START: u64 = 16;

/// The credits of the candidates of one worker in one pool.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    /// The candidates, in the order of the last pick.
    ids: Vec<u64>,
    /// Their credits, in the same order.
    credits: Vec<i64>,
}

impl Rotation {
    /// Picks the next candidate, or `None` if all are excluded, which earn nothing.
    ///
    /// The first pick uses `random` to begin anywhere in the round, so that the workers do not pick in step.
    pub(super) fn pick(&mut self, candidates: &impl Candidates, random: u64) -> Option<usize> {
        let is_new = self.ids.is_empty();
        self.follow(candidates);
        if is_new {
            for _ in 0..random % HEAD_START {
                self.turn(candidates);
            }
        }
        self.turn(candidates)
    }

    fn turn(&mut self, candidates: &impl Candidates) -> Option<usize> {
        let (mut total, mut best) = (0, None);
        for (index, credit) in self.credits.iter_mut().enumerate() {
            if candidates.is_excluded(index) {
                continue;
            }
            let weight = i64::from(candidates.weight(index));
            *credit += weight;
            total += weight;
            if best.is_none_or(|(_, most)| *credit > most) {
                best = Some((index, *credit));
            }
        }
        let (index, _) = best?;
        *self.credits.get_mut(index)? -= total;
        Some(index)
    }

    /// Takes over the candidates. One that stays keeps its credit, a new one begins without.
    fn follow(&mut self, candidates: &impl Candidates) {
        let count = candidates.count();
        if self.ids.len() == count && self.ids.iter().enumerate().all(|(index, id)| *id == candidates.id(index)) {
            return;
        }
        let credits: HashMap<u64, i64> = self.ids.drain(..).zip(self.credits.drain(..)).collect();
        self.ids.extend((0..count).map(|index| candidates.id(index)));
        self.credits.extend(self.ids.iter().map(|id| credits.get(id).copied().unwrap_or_default()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::candidates::tests::Fixed as Test, *};

    fn picks(rotation: &mut Rotation, candidates: &Test, count: usize) -> Vec<usize> {
        (0..count).filter_map(|_| rotation.pick(candidates, 0)).collect()
    }

    #[test]
    fn the_order_is_that_of_nginx() {
        let picks = picks(&mut Rotation::default(), &Test::weighing(&[5, 1, 1]), 14);
        assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn workers_begin_at_different_places_of_the_round() {
        let candidates = Test::weighing(&[5, 1, 1]);
        let first = |random| {
            let mut rotation = Rotation::default();
            [0; 3].map(|_| rotation.pick(&candidates, random).unwrap())
        };
        assert_eq!((first(0), first(2), first(4)), ([0, 0, 1], [1, 0, 2], [2, 0, 0]));
    }

    #[test]
    fn a_candidate_that_leaves_or_joins_does_not_disturb_the_others() {
        let mut rotation = Rotation::default();
        let three = Test::weighing(&[4, 2, 1]);
        picks(&mut rotation, &three, 10);
        let two = Test { ids: vec![1, 7], ..Test::weighing(&[2, 1]) };
        let counted = picks(&mut rotation, &two, 3000).iter().filter(|index| **index == 0).count();
        assert!((1998..=2002).contains(&counted), "{counted} of 3000");
    }

    fn weights() -> impl Strategy<Value = Vec<u32>> {
        prop::collection::vec(1_u32..=20, 1..12)
    }

    proptest! {
        #[test]
        fn each_gets_exactly_its_weight_in_a_round(weights in weights(), start in 0_usize..100) {
            let candidates = Test::weighing(&weights);
            let mut rotation = Rotation::default();
            picks(&mut rotation, &candidates, start);
            let round = usize::try_from(weights.iter().sum::<u32>()).unwrap();
            let mut counts = vec![0; weights.len()];
            picks(&mut rotation, &candidates, round).into_iter().for_each(|index| counts[index] += 1);
            prop_assert_eq!(counts, weights);
        }

        #[test]
        fn none_is_a_whole_request_ahead_of_its_share(weights in weights(), count in 0_usize..500) {
            let candidates = Test::weighing(&weights);
            let total: u32 = weights.iter().sum();
            let mut counts = vec![0_u32; weights.len()];
            picks(&mut Rotation::default(), &candidates, count).into_iter().for_each(|index| counts[index] += 1);
            for (picked, weight) in counts.iter().zip(&weights) {
                let share = count as f64 * f64::from(*weight) / f64::from(total);
                prop_assert!(f64::from(*picked) < share + 1.0, "{} of {}", picked, share);
            }
        }

        #[test]
        fn excluded_candidates_are_not_picked_and_an_other_always_is(
            weights in weights(),
            excluded in prop::collection::vec(any::<bool>(), 12),
        ) {
            let excluded = excluded[..weights.len()].to_vec();
            let candidates = Test { excluded: excluded.clone(), ..Test::weighing(&weights) };
            let mut rotation = Rotation::default();
            picks(&mut rotation, &Test::weighing(&weights), 5);
            match rotation.pick(&candidates, 0) {
                Some(index) => prop_assert!(!excluded[index]),
                None => prop_assert!(excluded.iter().all(|excluded| *excluded)),
            }
        }
    }
}
