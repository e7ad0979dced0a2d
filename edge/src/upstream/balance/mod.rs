//! Load balancing: picks the endpoint of the next request.
//!
//! Pure: the candidates, what the worker's last picks left behind, a random number and the request's key go in, an
//! index comes out. Each worker balances on its own, with its own [`Turns`]; random start positions keep the workers
//! out of lockstep. The caller counts the active requests of all workers.
//!
//! Least requests and peak EWMA compare two that are drawn at random (M. Mitzenmacher, "The Power of Two Choices in
//! Randomized Load Balancing", IEEE TPDS 12(10), 2001). However many requests there are, the busiest then has only about
//! `log log n` more than the average of `n` (P. Berenbrink et al., "Balanced Allocations: The Heavily Loaded Case", SIAM
//! J. Comput. 35(6), 2006), and workers that see the same loads do not all pick the same one.

mod candidates;
mod draw;
mod rendezvous;
mod rotation;

use self::rotation::Rotation;
pub use self::{
    candidates::Candidates,
    rendezvous::{Key, hash},
};
use crate::config::Balance;

/// The cost of a busy candidate whose latency is unknown, in seconds: more than any known one, as in Finagle.
const UNKNOWN: f64 = 1e12;

/// What the picks of one worker in one pool leave behind for the next.
#[derive(Debug, Default)]
pub struct Turns {
    /// The position in the round robin while all weights are equal.
    cursor: usize,
    /// The round robin while they differ.
    rotation: Rotation,
}

impl Turns {
    /// Begins the round robin at a candidate.
    #[must_use]
    pub fn starting_at(cursor: usize) -> Self {
        Self { cursor, rotation: Rotation::default() }
    }
}

/// Picks one of the candidates, or `None` if all are excluded.
///
/// `random` is a fresh random number. A further attempt has no turns, and takes a random candidate instead of the next
/// in turn: it may have fewer candidates, and one position in two lists would favour some of them. Only consistent
/// hashing looks at the key, and takes turns without one.
pub fn pick(
    policy: Balance,
    candidates: &impl Candidates,
    turns: Option<&mut Turns>,
    random: u64,
    key: Option<Key>,
) -> Option<usize> {
    let count = candidates.count();
    if count == 0 {
        return None;
    }
    match policy {
        Balance::RoundRobin => take_turns(candidates, turns, random),
        Balance::Random => draw::one(candidates, random),
        Balance::LeastRequests if candidates.is_weighted() => {
            // In products the loads have the order of the quotients.
            let load = |index, other| candidates.load(index).saturating_mul(candidates.weight(other).into());
            Some(lower(draw::two(candidates, random)?, load))
        }
        Balance::LeastRequests => Some(lower(draw::two(candidates, random)?, |index, _| candidates.load(index))),
        Balance::PeakEwma => {
            let (one, other) = draw::two(candidates, random)?;
            let other = other.filter(|&other| !candidates.is_weighted() || is_warm_enough(candidates, other, random));
            Some(lower((one, other), |index, _| cost(candidates, index)))
        }
        Balance::ConsistentHash => match key {
            Some(key) => rendezvous::pick(candidates, key),
            None => take_turns(candidates, turns, random),
        },
    }
}

/// Picks the next in turn, or a random one without turns.
fn take_turns(candidates: &impl Candidates, turns: Option<&mut Turns>, random: u64) -> Option<usize> {
    match turns {
        Some(turns) if candidates.is_weighted() => turns.rotation.pick(candidates, random),
        Some(turns) => {
            let turn = turns.cursor % candidates.count();
            turns.cursor = turn + 1;
            draw::first_from(candidates, turn)
        }
        None => draw::one(candidates, random),
    }
}

/// Returns the one of two with the lower number; the first if they are equal. `number` gets a candidate and the other.
fn lower<T: PartialOrd>((one, other): (usize, Option<usize>), number: impl Fn(usize, usize) -> T) -> usize {
    other.filter(|&other| number(other, one) < number(one, other)).unwrap_or(one)
}

/// Whether a candidate may compete that was drawn as the second one. Of two, both are always drawn, and a fast one would
/// get all requests whatever its weight; so one in its slow start competes only as often as its percentage says.
fn is_warm_enough(candidates: &impl Candidates, index: usize, random: u64) -> bool {
    // Another number for each, which the draws do not determine.
    hash(&random.to_be_bytes()) % 100 < candidates.percentage(index).into()
}

/// How long a request is expected to take at a candidate: its latency for each request that it then has, for its
/// weight.
///
/// A candidate without a measurement gets the first request at once, and no other until that is answered, unless both
/// that are drawn are unknown.
fn cost(candidates: &impl Candidates, index: usize) -> f64 {
    let is_weighted = candidates.is_weighted();
    let weight = if is_weighted { f64::from(candidates.weight(index)) / f64::from(candidates.unit()) } else { 1.0 };
    let (latency, load) = (candidates.latency(index), candidates.load(index) as f64 / weight);
    match latency {
        0.0 if load > 0.0 => UNKNOWN + load,
        latency => latency * (load + 1.0),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{candidates::tests::Fixed as Test, *};
    use crate::config::value::BALANCES;

    fn even(count: usize) -> Test {
        Test::loaded(&vec![0; count])
    }

    fn turns(count: usize, rounds: usize) -> Vec<usize> {
        let mut turns = Turns::default();
        (0..rounds).filter_map(|_| pick(Balance::RoundRobin, &even(count), Some(&mut turns), 0, None)).collect()
    }

    #[test]
    fn round_robin_picks_each_in_turn() {
        assert_eq!(turns(3, 7), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn round_robin_survives_a_shrinking_pool() {
        let mut turns = Turns::starting_at(9);
        assert_eq!(pick(Balance::RoundRobin, &even(2), Some(&mut turns), 0, None), Some(1));
        assert_eq!(pick(Balance::RoundRobin, &even(2), Some(&mut turns), 0, None), Some(0));
    }

    #[test]
    fn further_attempts_do_not_disturb_the_turns_of_first_attempts() {
        // Three of six candidates are healthy, and each first attempt at an unhealthy one is followed by a second.
        for (weights, expected) in [([1; 6], [100; 6]), ([3, 1, 1, 1, 3, 3], [150, 50, 50, 50, 150, 150])] {
            let mut turns = Turns::default();
            let mut first = [0; 6];
            for random in 0..600 {
                let all = Test::weighing(&weights);
                let picked = pick(Balance::RoundRobin, &all, Some(&mut turns), random, None).unwrap();
                first[picked] += 1;
                if picked % 2 == 1 {
                    pick(Balance::RoundRobin, &Test::weighing(&weights[..3]), None, random, None).unwrap();
                }
            }
            assert_eq!(first, expected);
        }
    }

    #[test]
    fn least_requests_takes_the_less_loaded_of_two_drawn() {
        let random = |one: u64, other: u64| one | other << 32;
        for (one, other, expected) in [(0, 0, 1), (0, 1, 0), (1, 0, 1), (1, 1, 1), (2, 0, 0), (2, 1, 1)] {
            let picked = pick(Balance::LeastRequests, &Test::loaded(&[5, 1, 9]), None, random(one, other), None);
            assert_eq!(picked, Some(expected), "{one} and the one {other} after the next");
        }
    }

    #[test]
    fn least_requests_never_picks_the_busier_of_two() {
        let two = Test::loaded(&[5, 1]);
        for random in (0..1000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            assert_eq!(pick(Balance::LeastRequests, &two, None, random, None), Some(1));
            assert_eq!(pick(Balance::LeastRequests, &two.clone().without(1), None, random, None), Some(0));
        }
    }

    #[test]
    fn the_busier_of_two_is_the_one_with_more_requests_for_its_weight() {
        for (loads, expected) in [([5, 2], 0), ([6, 2], 0), ([7, 2], 1), ([0, 0], 0)] {
            let two = Test { loads: loads.to_vec(), ..Test::weighing(&[3, 1]) };
            // The first draw takes the first.
            assert_eq!(pick(Balance::LeastRequests, &two, None, 0, None), Some(expected), "{loads:?}");
        }
    }

    #[test]
    fn idle_candidates_get_what_their_weights_say() {
        for (policy, _) in BALANCES {
            let (three, mut counts) = (Test::weighing(&[6, 3, 1]), [0; 3]);
            let mut turns = Turns::default();
            let mut random = fastrand::Rng::with_seed(7);
            (0..10_000)
                .for_each(|_| counts[pick(policy, &three, Some(&mut turns), random.u64(..), None).unwrap()] += 1);
            for (count, expected) in counts.into_iter().zip([6000_i32, 3000, 1000]) {
                assert!((count - expected).abs() < 200, "{policy:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn peak_ewma_takes_the_one_that_is_likely_to_respond_sooner() {
        for (latencies, loads, weights, expected) in [
            ([0.010, 0.020], [0, 0], [1, 1], 0),
            ([0.010, 0.020], [2, 0], [1, 1], 1),
            ([0.010, 0.020], [1, 0], [1, 1], 0),
            ([0.010, 0.010], [2, 1], [3, 1], 0),
            // Not measured yet.
            ([0.010, 0.0], [0, 0], [1, 1], 1),
            ([5.0, 0.0], [9, 1], [1, 1], 0),
            ([0.0, 0.0], [1, 2], [1, 1], 0),
        ] {
            let latencies = latencies.to_vec();
            let two = Test { latencies, loads: loads.to_vec(), ..Test::weighing(&weights) };
            assert_eq!(pick(Balance::PeakEwma, &two, None, 0, None), Some(expected), "{two:?}");
        }
    }

    #[test]
    fn weights_in_parts_are_the_same_weights() {
        for (policy, _) in BALANCES {
            let [picked, in_parts] = [1, 100].map(|unit| {
                let candidates = Test {
                    unit,
                    loads: vec![4, 2, 1],
                    latencies: vec![0.010, 0.012, 0.011],
                    ..Test::weighing(&[6, 3, 1])
                };
                let (mut turns, mut random) = (Turns::default(), fastrand::Rng::with_seed(7));
                // Afterwards the place in the round no longer depends on a random number.
                pick(policy, &candidates, Some(&mut turns), 0, None);
                let mut pick = || {
                    let key = Some(Key { hash: random.u64(..), bound: 1.25 });
                    // As likely in units of any size.
                    let [one, other] = [0; 2].map(|_: i32| random.u64(..10) * u64::from(unit));
                    let random = one | (other << 32);
                    pick(policy, &candidates, Some(&mut turns), random, key)
                };
                (0..500).map(|_| pick()).collect::<Vec<_>>()
            });
            assert_eq!(picked, in_parts, "{policy:?}");
        }
    }

    #[test]
    fn share_of_an_endpoint_that_starts_slowly_follows_its_weight_with_every_policy() {
        for (policy, _) in BALANCES {
            for (percentage, expected) in [(10, 476_i32), (50, 2000), (100, 3333)] {
                let three = Test::weighing(&[100, 100, percentage]);
                let (mut counts, mut turns) = ([0; 3], Turns::default());
                let mut random = fastrand::Rng::with_seed(7);
                for _ in 0..10_000 {
                    let key = Some(Key { hash: random.u64(..), bound: 1.25 });
                    counts[pick(policy, &three, Some(&mut turns), random.u64(..), key).unwrap()] += 1;
                }
                assert!((counts[2] - expected).abs() < 200, "{policy:?} at {percentage} %: {counts:?}");
            }
        }
    }

    #[test]
    fn peak_ewma_does_not_send_all_requests_to_a_fast_endpoint_that_starts_slowly() {
        for (percentage, expected) in [(10, 180_i32..=190), (50, 650..=680), (100, 1000..=1000)] {
            let two = Test {
                latencies: vec![0.010, 0.001],
                percentages: vec![100, percentage],
                ..Test::weighing(&[101, percentage])
            };
            let mut random = fastrand::Rng::with_seed(7);
            let second = (0..10_000).filter(|_| pick(Balance::PeakEwma, &two, None, random.u64(..), None) == Some(1));
            let second = i32::try_from(second.count()).unwrap() / 10;
            let most = *expected.end() + 30;
            assert!((expected.start() - 30..=most).contains(&second), "{second} of 1000 at {percentage} %");
        }
    }

    proptest! {
        /// Two different ones are drawn, so one of them is better.
        #[test]
        fn the_worst_of_several_is_never_picked(
            policy in prop::sample::select(&[Balance::LeastRequests, Balance::PeakEwma][..]),
            weights in prop::collection::vec(1_u32..5, 2..12),
            worst in any::<prop::sample::Index>(),
            seed in any::<u64>(),
        ) {
            let worst = worst.index(weights.len());
            let mut random = fastrand::Rng::with_seed(seed);
            // Up to five for each unit of weight, but the worst has six.
            let load = |(index, weight): (usize, &u32)| u64::from(*weight) * if index == worst { 6 } else { random.u64(..6) };
            let loads = weights.iter().enumerate().map(load).collect();
            let candidates = Test { loads, latencies: vec![0.01; weights.len()], ..Test::weighing(&weights) };
            for _ in 0..100 {
                prop_assert_ne!(pick(policy, &candidates, None, random.u64(..), None), Some(worst));
            }
        }

        #[test]
        fn requests_that_last_are_spread_by_weight(
            policy in prop::sample::select(&[Balance::LeastRequests, Balance::PeakEwma][..]),
            weights in prop::collection::vec(1_u32..5, 2..12),
            seed in any::<u64>(),
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut candidates = Test { latencies: vec![0.01; weights.len()], ..Test::weighing(&weights) };
            let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            for _ in 0..50 * total {
                let picked = pick(policy, &candidates, None, random.u64(..), None).unwrap();
                candidates.loads[picked] += 1;
            }
            // Random draws alone would differ by twenty.
            for (load, weight) in candidates.loads.iter().zip(&weights) {
                prop_assert!(*load <= 56 * u64::from(*weight), "{:?} {weights:?}", candidates.loads);
            }
        }

        #[test]
        fn tried_candidate_is_never_picked_and_an_untried_one_always_is(
            policy in prop::sample::select(&BALANCES[..]).prop_map(|(balance, _)| balance),
            key in prop::option::of(any::<u64>()),
            tried in proptest::collection::vec((any::<bool>(), 1_u32..=256), 0..20),
            is_weighted in any::<bool>(),
            start in proptest::option::of(any::<usize>()),
            random in any::<u64>(),
        ) {
            let weights: Vec<u32> = tried.iter().map(|(_, weight)| if is_weighted { *weight } else { 1 }).collect();
            let excluded: Vec<bool> = tried.iter().map(|(tried, _)| *tried).collect();
            let loads = (0..weights.len() as u64).collect();
            let candidates = Test { loads, excluded: excluded.clone(), ..Test::weighing(&weights) };
            let mut turns = start.map(Turns::starting_at);
            let key = key.map(|hash| Key { hash, bound: 1.25 });
            match pick(policy, &candidates, turns.as_mut(), random, key) {
                Some(index) => prop_assert!(!excluded[index]),
                None => prop_assert!(excluded.iter().all(|excluded| *excluded)),
            }
        }
    }
}
