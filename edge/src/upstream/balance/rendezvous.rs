//! Consistent hashing with bounded loads.
//!
//! Each candidate has a score for each key, and the key belongs to the candidate with the highest: rendezvous hashing
//! (Thaler and Ravishankar 1998, "Using name-based mappings to increase hit rates"). Nothing is kept, so every edge and
//! every worker finds the same candidate. When one leaves, only its keys move, evenly to all others; when one joins, it
//! takes its share from all others. Weights are those of Schindelhauer and Schomaker 2005, "Weighted distributed hash
//! tables". A ring or a Maglev table finds a candidate faster in pools of thousands, but must be built for each change
//! of the pool, and a Maglev table moves some keys of candidates that stay.
//!
//! A candidate that has more than its share of the active requests, by a factor, is passed over: Mirrokni, Thorup and
//! Zadimoghaddam 2017, "Consistent hashing with bounded loads". The keys of a full candidate go each to its own next
//! one instead of all to the same neighbour, as Chen, Coleman and Shrivastava 2021, "Revisiting consistent hashing with
//! bounded loads", propose: one popular key then overloads nobody.
//!
//! Clients can find keys that belong to the same candidate, since the hash has no secret: all edges must agree on it.
//! The bound limits what they gain.

use super::Candidates;

/// What a request is distributed by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Key {
    /// The hash of the key.
    pub hash: u64,
    /// How many times its share of the active requests a candidate may have, at least 1.0.
    pub bound: f64,
}

/// Returns the hash of a key or a name. It is the same in each process and release: FNV-1a, finalized as in SplitMix64
/// so that similar names have different hashes in all bits.
#[must_use]
pub fn hash(bytes: &[u8]) -> u64 {
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)))
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Picks the candidate of a key, or `None` if all are excluded.
pub(super) fn pick(candidates: &impl Candidates, key: Key) -> Option<usize> {
    let owner = best(candidates, key.hash, |_| true)?;
    // The bound is at least one request. Most of the time nothing else needs to be counted.
    if candidates.load(owner) == 0 {
        return Some(owner);
    }
    let is_weighted = candidates.is_weighted();
    let weight = |index| if is_weighted { f64::from(candidates.weight(index)) } else { 1.0 };
    let left = (0..candidates.count()).filter(|index| !candidates.is_excluded(*index));
    let (mut active, mut weights) = (1.0, 0.0);
    for index in left {
        active += candidates.load(index) as f64;
        weights += weight(index);
    }
    let is_below = |index| (candidates.load(index) as f64) < (key.bound * active * weight(index) / weights).ceil();
    if is_below(owner) { Some(owner) } else { best(candidates, key.hash, is_below).or(Some(owner)) }
}

/// Returns the candidate with the highest score among those that are not excluded and that `may` be picked.
fn best(candidates: &impl Candidates, key: u64, may: impl Fn(usize) -> bool) -> Option<usize> {
    let is_weighted = candidates.is_weighted();
    let score = |index: &usize| {
        let bits = mix(key ^ candidates.hash(*index));
        if is_weighted { weighted(bits, candidates.weight(*index)) } else { bits }
    };
    (0..candidates.count()).filter(|index| !candidates.is_excluded(*index) && may(*index)).max_by_key(score)
}

/// Returns a score that is the highest of all as often as the weight says, and as high as the others' for equal
/// weights.
fn weighted(bits: u64, weight: u32) -> u64 {
    let uniform = ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    // Positive numbers have the order of their bits.
    (f64::from(weight) / -uniform.ln()).to_bits()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::candidates::tests::Fixed as Test, *};

    const KEYS: u64 = 4000;

    fn owner(candidates: &Test, key: u64, bound: f64) -> usize {
        pick(candidates, Key { hash: hash(&key.to_be_bytes()), bound }).unwrap()
    }

    /// The ids of the owners of some keys.
    fn owners(candidates: &Test) -> Vec<u64> {
        (0..KEYS).map(|key| candidates.ids[owner(candidates, key, 1.25)]).collect()
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!([hash(b""), hash(b"10.0.0.1:8000")], [0xf52a_15e9_a9b5_e89b, 0x9201_c0ce_a293_f846]);
    }

    #[test]
    fn each_owns_the_share_of_the_keys_that_its_weight_says() {
        for (weights, expected) in [([1, 1, 1, 1], [1000; 4]), ([4, 2, 1, 1], [2000, 1000, 500, 500])] {
            let (candidates, mut counts) = (Test::weighing(&weights), [0_i64; 4]);
            (0..KEYS).for_each(|key| counts[owner(&candidates, key, 1.25)] += 1);
            for (count, expected) in counts.into_iter().zip(expected) {
                assert!((count - expected).abs() < 120, "{counts:?} for {weights:?}");
            }
        }
    }

    #[test]
    fn equal_weights_do_not_move_keys_whether_others_differ_or_not() {
        let owner_of = |weights: &[u32], key| owner(&Test::weighing(weights).without(0), key, 1.25);
        for key in 0..KEYS {
            assert_eq!(owner_of(&[1, 1, 1, 1], key), owner_of(&[9, 1, 1, 1], key));
        }
    }

    #[test]
    fn a_full_candidate_is_passed_over_and_its_keys_go_to_several_others() {
        let candidates = Test::loaded(&[9, 1, 1, 1, 1]);
        let idle = Test::loaded(&[0; 5]);
        let moved: Vec<_> = (0..KEYS).filter(|key| owner(&idle, *key, 1.25) == 0).collect();
        let mut counts = [0_u64; 5];
        moved.iter().for_each(|key| counts[owner(&candidates, *key, 1.25)] += 1);
        assert_eq!(counts[0], 0);
        assert!(counts[1..].iter().all(|count| *count > moved.len() as u64 / 6), "{counts:?}");
        for key in (0..KEYS).filter(|key| !moved.contains(key)) {
            assert_eq!(owner(&candidates, key, 1.25), owner(&idle, key, 1.25));
        }
        assert!(moved.iter().all(|key| owner(&candidates, *key, 100.0) == 0), "a high bound never moves a key");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn only_the_keys_of_a_candidate_that_leaves_move(
            weights in prop::collection::vec(1_u32..=9, 2..9),
            leaves in any::<prop::sample::Index>(),
        ) {
            let before = Test::weighing(&weights);
            let leaves = leaves.index(weights.len());
            let mut after = before.clone();
            for list in [&mut after.ids, &mut after.loads] {
                list.remove(leaves);
            }
            after.weights.remove(leaves);
            after.excluded.remove(leaves);
            let excluded = before.clone().without(leaves);
            for ((before, after), excluded) in owners(&before).into_iter().zip(owners(&after)).zip(owners(&excluded)) {
                prop_assert_eq!(after, excluded, "to be excluded is to leave");
                prop_assert!(before == after || before == leaves as u64);
            }
        }

        #[test]
        fn no_load_exceeds_its_bound(
            keys in prop::collection::vec(0_u64..5, 1..300),
            weights in prop::collection::vec(1_u32..=4, 1..7),
            bound in 1.0_f64..3.0,
        ) {
            let mut candidates = Test::weighing(&weights);
            let total = f64::from(weights.iter().sum::<u32>());
            for (active, key) in (1_u32..).zip(keys) {
                let index = owner(&candidates, key, bound);
                candidates.loads[index] += 1;
                let most = (bound * f64::from(active) * f64::from(weights[index]) / total).ceil();
                prop_assert!(candidates.loads[index] as f64 <= most, "{} > {}", candidates.loads[index], most);
            }
        }

        #[test]
        fn excluded_candidates_are_not_picked_and_an_other_always_is(
            candidates in prop::collection::vec((any::<bool>(), 0_u64..9, 1_u32..4), 0..9),
            key in any::<u64>(),
        ) {
            let weights: Vec<_> = candidates.iter().map(|(_, _, weight)| *weight).collect();
            let excluded: Vec<_> = candidates.iter().map(|(excluded, _, _)| *excluded).collect();
            let loads = candidates.iter().map(|(_, load, _)| *load).collect();
            let candidates = Test { excluded: excluded.clone(), loads, ..Test::weighing(&weights) };
            match pick(&candidates, Key { hash: key, bound: 1.25 }) {
                Some(index) => prop_assert!(!excluded[index]),
                None => prop_assert!(excluded.iter().all(|excluded| *excluded)),
            }
        }
    }
}
