//! Which tiers of a pool get requests: an endpoint of a further tier stands in for those before it.
//!
//! Pure. The tiers are taken in their order until one has enough endpoints that may be used; those before it, which
//! have too few, stay in use with it. With the default threshold a further tier is used only if the ones before it have
//! no usable endpoint at all, or so few that the pool would be in panic, as the `backup` servers of HAProxy and nginx
//! are. Higher thresholds bring help earlier, as the priorities of Envoy do.
//!
//! Panic means that the checks are more likely wrong than the endpoints. A healthy endpoint in a further tier is
//! evidence of the opposite, so the pool only panics if no tier has enough.

use crate::config::{BACKUP, Pool};

/// The endpoints of one tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Its number: lower ones are used first.
    pub number: u8,
    /// How many of its endpoints may be used.
    pub good: usize,
    /// How many are known to be bad.
    pub bad: usize,
}

/// The shares of usable endpoints, 0.0 to 1.0, that decide.
#[derive(Clone, Copy, Debug)]
pub struct Thresholds {
    /// See [`Pool::panic_threshold`](crate::config::Pool::panic_threshold).
    pub panic: f64,
    /// See [`Pool::tier_threshold`](crate::config::Pool::tier_threshold).
    pub tier: f64,
    /// See [`Pool::zone_threshold`](crate::config::Pool::zone_threshold).
    pub zone: f64,
}

impl Thresholds {
    /// The thresholds of a pool.
    #[must_use]
    pub fn of(pool: &Pool) -> Self {
        Self { panic: pool.panic_threshold, tier: pool.tier_threshold, zone: pool.zone_threshold }
    }
}

/// Returns the last tier in use, or `None` if the pool is in panic. `tiers` are in their order.
#[must_use]
pub fn last_in_use(tiers: &[Tier], thresholds: Thresholds) -> Option<u8> {
    let (mut good, mut bad, mut last) = (0, 0, 0);
    for tier in tiers {
        let is_spare = tier.number == BACKUP && good > 0 && !is_panic(good, bad, thresholds.panic);
        if tier.good > 0 && !is_spare {
            last = tier.number;
            if is_enough(*tier, thresholds) {
                return Some(last);
            }
        }
        good += tier.good;
        bad += tier.bad;
    }
    (!is_panic(good, bad, thresholds.panic)).then_some(last)
}

/// Whether health must be ignored, given the numbers of `good` and `bad` endpoints. With a threshold of 0, only if
/// there is no good one.
#[must_use]
pub fn is_panic(good: usize, bad: usize, threshold: f64) -> bool {
    bad > 0 && (good == 0 || good as f64 / ((good + bad) as f64) < threshold)
}

/// Whether the endpoints of the edge's zone, in the tiers in use, are enough without those of other zones: `good` ones
/// that may be used, and `bad` ones. The others help as soon as those of the zone would get too much, as in Envoy's
/// zone aware routing. Unlike there, the edge does not compare the zone's share of the edges with that of the
/// endpoints, because an edge does not know the others: size the zones so that each can serve the requests of its
/// edges.
#[must_use]
pub fn stays_in_zone(good: usize, bad: usize, thresholds: Thresholds) -> bool {
    good > 0 && good as f64 >= thresholds.zone * (good + bad) as f64
}

fn is_enough(Tier { good, bad, .. }: Tier, thresholds: Thresholds) -> bool {
    !is_panic(good, bad, thresholds.panic) && good as f64 >= thresholds.tier * (good + bad) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tiers(counts: &[(u8, usize, usize)]) -> Vec<Tier> {
        counts.iter().map(|&(number, good, bad)| Tier { number, good, bad }).collect()
    }

    #[test]
    fn a_further_tier_is_used_if_the_ones_before_have_too_few() {
        for (counts, threshold, expected) in [
            (&[(1, 2, 0), (2, 2, 0)][..], 0.0, Some(1)),
            (&[(1, 1, 2), (2, 2, 0)], 0.0, Some(1)),
            (&[(1, 0, 2), (2, 2, 0)], 0.0, Some(2)),
            (&[(1, 0, 0), (2, 2, 0)], 0.0, Some(2)),
            // Below the threshold of panic.
            (&[(1, 1, 9), (2, 2, 0)], 0.0, Some(2)),
            (&[(1, 0, 1), (2, 0, 1), (3, 1, 0)], 0.0, Some(3)),
            (&[(1, 2, 1), (2, 2, 0)], 0.7, Some(2)),
            (&[(1, 2, 1), (2, 1, 1), (3, 1, 0)], 0.7, Some(3)),
            // No tier has enough, but the pool is not in panic.
            (&[(1, 2, 1), (2, 1, 1)], 0.7, Some(2)),
            (&[(1, 0, 2), (2, 0, 1)], 0.0, None),
            (&[(1, 0, 9), (2, 1, 9)], 0.0, None),
            (&[], 0.0, Some(0)),
        ] {
            let thresholds = Thresholds { panic: 0.3, tier: threshold, zone: 0.0 };
            assert_eq!(last_in_use(&tiers(counts), thresholds), expected, "{counts:?} at {threshold}");
        }
    }

    #[test]
    fn a_backup_is_used_only_while_the_others_are_down_or_as_good_as_down() {
        for (counts, threshold, expected) in [
            (&[(1, 1, 1), (BACKUP, 1, 0)][..], 0.9, Some(1)),
            (&[(1, 1, 1), (2, 1, 2), (BACKUP, 1, 0)], 0.9, Some(2)),
            (&[(1, 0, 2), (BACKUP, 1, 0)], 0.9, Some(BACKUP)),
            (&[(1, 1, 4), (BACKUP, 1, 0)], 0.0, Some(BACKUP)),
            (&[(BACKUP, 1, 0)], 0.0, Some(BACKUP)),
            (&[(1, 0, 2), (BACKUP, 0, 1)], 0.0, None),
        ] {
            let thresholds = Thresholds { panic: 0.3, tier: threshold, zone: 0.0 };
            assert_eq!(last_in_use(&tiers(counts), thresholds), expected, "{counts:?} at {threshold}");
        }
    }

    #[test]
    fn other_zones_help_if_too_few_of_the_own_zone_are_usable() {
        for (good, bad, threshold, expected) in [
            (0, 0, 0.0, false),
            (0, 2, 0.0, false),
            (1, 9, 0.0, true),
            (2, 1, 0.7, false),
            (3, 1, 0.7, true),
            (3, 0, 1.0, true),
        ] {
            let thresholds = Thresholds { panic: 0.3, tier: 0.0, zone: threshold };
            assert_eq!(stays_in_zone(good, bad, thresholds), expected, "{good} and {bad} at {threshold}");
        }
    }

    proptest! {
        #[test]
        fn a_pool_without_tiers_decides_as_ever(good in 0_usize..9, bad in 0_usize..9, panic in 0.0_f64..=1.0, tier in 0.0_f64..=1.0) {
            let last = last_in_use(&tiers(&[(1, good, bad)]), Thresholds { panic, tier, zone: 0.0 });
            prop_assert_eq!(last.is_none(), is_panic(good, bad, panic));
        }

        #[test]
        fn usable_endpoints_are_in_use_or_the_pool_panics(
            counts in prop::collection::vec((0_usize..5, 0_usize..5), 1..5),
            panic in 0.0_f64..=1.0,
            tier in 0.0_f64..=1.0,
        ) {
            let numbered: Vec<_> = (1..).zip(counts).map(|(number, (good, bad))| (number, good, bad)).collect();
            let tiers = tiers(&numbered);
            let good: usize = tiers.iter().map(|tier| tier.good).sum();
            match last_in_use(&tiers, Thresholds { panic, tier, zone: 0.0 }) {
                Some(last) => {
                    let used: usize = tiers.iter().filter(|tier| tier.number <= last).map(|tier| tier.good).sum();
                    prop_assert!(used > 0 || tiers.iter().all(|tier| tier.good + tier.bad == 0));
                }
                None => {
                    let bad: usize = tiers.iter().map(|tier| tier.bad).sum();
                    prop_assert!(is_panic(good, bad, panic));
                }
            }
        }
    }
}
