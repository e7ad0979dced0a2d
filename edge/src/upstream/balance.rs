//! Load balancing: picks the endpoint of the next request.
//!
//! Pure: the number of candidates, the ones tried before, the worker's cursor and a random number go in, an index comes
//! out. Each worker balances on its own, with its own cursor; random start positions keep the workers out of lockstep.
//! The caller counts the active requests of all workers.

use crate::config::Balance;

/// Picks one of `count` candidates, or `None` if all were tried.
///
/// `tried` returns whether a candidate was already tried for this request, and `load` its number of active requests.
/// `cursor` is the worker's position in the round robin, and `random` a fresh random number. A further attempt has no
/// cursor and starts at a random candidate: it may have fewer candidates, and one cursor for two lengths would favour
/// some of them.
pub fn pick(
    policy: Balance,
    count: usize,
    cursor: Option<&mut usize>,
    random: u64,
    load: impl Fn(usize) -> u64,
    tried: impl Fn(usize) -> bool,
) -> Option<usize> {
    if count == 0 {
        return None;
    }
    let drawn = |bits: u64| usize::try_from(bits % count as u64).unwrap_or(0);
    let untried_from =
        |first: usize| (0..count).map(|step| (first + step) % count).find(|&candidate| !tried(candidate));
    let first = match policy {
        Balance::RoundRobin => cursor.map_or_else(
            || drawn(random),
            |cursor| {
                let turn = *cursor % count;
                *cursor = turn + 1;
                turn
            },
        ),
        Balance::Random => drawn(random),
        Balance::LeastRequests => {
            let one = untried_from(drawn(random & 0xffff_ffff))?;
            // Two different ones: otherwise the busier of two would get a quarter of the requests, whatever its load.
            let start = (one + 1 + usize::try_from((random >> 32) % (count as u64 - 1).max(1)).unwrap_or(0)) % count;
            let other = (0..count).map(|step| (start + step) % count).find(|&other| other != one && !tried(other));
            return Some(other.filter(|&other| load(other) < load(one)).unwrap_or(one));
        }
    };
    untried_from(first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn turns(count: usize, rounds: usize) -> Vec<usize> {
        let mut cursor = 0;
        (0..rounds).filter_map(|_| pick(Balance::RoundRobin, count, Some(&mut cursor), 0, |_| 0, |_| false)).collect()
    }

    #[test]
    fn round_robin_picks_each_in_turn() {
        assert_eq!(turns(3, 7), [0, 1, 2, 0, 1, 2, 0]);
    }

    #[test]
    fn round_robin_survives_a_shrinking_pool() {
        let mut cursor = 9;
        assert_eq!(pick(Balance::RoundRobin, 2, Some(&mut cursor), 0, |_| 0, |_| false), Some(1));
        assert_eq!(pick(Balance::RoundRobin, 2, Some(&mut cursor), 0, |_| 0, |_| false), Some(0));
    }

    #[test]
    fn further_attempts_do_not_disturb_the_turns_of_first_attempts() {
        // Three of six candidates are healthy, and each first attempt at an unhealthy one is followed by a second.
        let mut cursor = 0;
        let mut first = [0; 6];
        for random in 0..600 {
            let picked = pick(Balance::RoundRobin, 6, Some(&mut cursor), random, |_| 0, |_| false).unwrap();
            first[picked] += 1;
            if picked % 2 == 1 {
                pick(Balance::RoundRobin, 3, None, random, |_| 0, |_| false).unwrap();
            }
        }
        assert_eq!(first, [100; 6]);
    }

    #[test]
    fn least_requests_takes_the_less_loaded_of_two_drawn() {
        let load = |index: usize| [5, 1, 9][index];
        let random = |one: u64, other: u64| one | other << 32;
        for (one, other, expected) in [(0, 0, 1), (0, 1, 0), (1, 0, 1), (1, 1, 1), (2, 0, 0), (2, 1, 1)] {
            let picked = pick(Balance::LeastRequests, 3, Some(&mut 0), random(one, other), load, |_| false);
            assert_eq!(picked, Some(expected), "{one} and the one {other} after the next");
        }
    }

    #[test]
    fn least_requests_never_picks_the_busier_of_two() {
        for random in (0..1000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            let load = |index: usize| [5, 1][index];
            assert_eq!(pick(Balance::LeastRequests, 2, Some(&mut 0), random, load, |_| false), Some(1));
            assert_eq!(pick(Balance::LeastRequests, 2, Some(&mut 0), random, load, |tried| tried == 1), Some(0));
        }
    }

    proptest! {
        #[test]
        fn tried_candidate_is_never_picked_and_an_untried_one_always_is(
            policy in prop_oneof![Just(Balance::RoundRobin), Just(Balance::LeastRequests), Just(Balance::Random)],
            tried in proptest::collection::vec(any::<bool>(), 0..20),
            mut cursor in proptest::option::of(any::<usize>()),
            random in any::<u64>(),
        ) {
            let picked = pick(policy, tried.len(), cursor.as_mut(), random, |index| index as u64, |index| tried[index]);
            match picked {
                Some(index) => prop_assert!(!tried[index]),
                None => prop_assert!(tried.iter().all(|tried| *tried)),
            }
        }
    }
}
