//! Which endpoints of a pool a request may use.
//!
//! Pure: states go in, snapshots come out. If the endpoints are in tiers, [`tiers`](mod@super::tiers) adds to
//! these rules. Four rules decide which endpoints get requests:
//!
//! 1. Healthy endpoints. An endpoint that joins them waits for its first check.
//! 2. If none is healthy, those that drain: they still work, so they are better than an error. HAProxy answers 503
//!    then; Envoy counts them as unhealthy, and uses them in a panic.
//! 3. If there are none either, the endpoints that are not checked yet: nothing is known against them, and the first
//!    request after a start must not wait for the first check.
//! 4. If those are too few compared to the endpoints known to be bad, or none, all of these. With nearly all down, the
//!    checks are more likely wrong than the endpoints (Envoy's panic threshold), and an attempt at a bad endpoint is
//!    better than none. Unchecked endpoints do not cause a panic: scaling from one to ten must not send requests to
//!    nine that are still starting.
//!
//! What the operator or the endpoint itself took out of use does not cause a panic, and is not used in one while others
//! are left: that order is no mistake of the checks. Endpoints in maintenance are never used.
//!
//! Endpoints on [`probation`](super::probation) are among the healthy ones, but a request at a time is not enough to
//! do without others: they count as bad when it is decided whether a further tier or another zone must help. They do
//! count as good if the pool would panic without them.

mod difference;

use std::{collections::BTreeMap, sync::Arc};

pub use self::difference::{Difference, MAX_ENDPOINTS, difference};
use super::{
    endpoint::{Endpoint, EndpointState},
    snapshot::{PoolSnapshot, SourceStatus},
    sticky::Sessions,
    tiers::{self, Thresholds, Tier},
};

/// What decides whether an endpoint gets requests.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its state.
    pub state: EndpointState,
    /// Whether the operator took it out of use. It may be unhealthy as well, which then says nothing about the checks.
    pub is_spared: bool,
}

impl Standing {
    fn is_bad(&self) -> bool {
        matches!(self.state, EndpointState::Unhealthy | EndpointState::Ejected)
    }
}

/// Creates a snapshot. `endpoints` must be ordered by address.
#[must_use]
pub fn snapshot(endpoints: &[Standing], thresholds: Thresholds, sources: Vec<SourceStatus>) -> PoolSnapshot {
    let select = |is_wanted: &dyn Fn(&Standing) -> bool| -> Vec<_> {
        endpoints.iter().filter(|one| is_wanted(one)).map(|one| Arc::clone(&one.endpoint)).collect()
    };
    let in_state = |state| select(&|one| one.state == state);
    let is_good = |one: &Standing| matches!(one.state, EndpointState::Healthy | EndpointState::Probation);
    let (mut healthy, draining) = (select(&is_good), in_state(EndpointState::Draining));
    let is_last_resort = |one: &Standing| one.is_bad() && one.is_spared;
    let nothing_else = endpoints.iter().all(|one| is_last_resort(one) || one.state == EndpointState::Maintenance);
    let is_in_reserve = |one: &Standing| match one.state {
        EndpointState::Maintenance => false,
        EndpointState::Draining => healthy.is_empty(),
        _ => nothing_else || !is_last_resort(one),
    };
    let reserve = select(&is_in_reserve);
    let bad = select(&|one| one.is_bad() && is_in_reserve(one));
    let is_doubtful = |one: &Standing| one.is_bad() || one.state == EndpointState::Probation;
    let doubtful = select(&|one| is_doubtful(one) && is_in_reserve(one));
    let on_probation = endpoints.iter().any(|one| one.state == EndpointState::Probation);
    let uses_draining = healthy.is_empty() && !draining.is_empty();
    if uses_draining {
        healthy.clone_from(&draining);
    } else if healthy.is_empty() {
        healthy = in_state(EndpointState::Unchecked);
    }
    let proven = if on_probation { in_state(EndpointState::Healthy) } else { healthy.clone() };
    let last_tier = tiers::last_in_use(&tiers(&proven, &doubtful), thresholds)
        .or_else(|| tiers::last_in_use(&tiers(&healthy, &bad), thresholds));
    let is_in_use = |endpoint: &&Arc<Endpoint>| last_tier.is_some_and(|last| endpoint.tier() <= last);
    let mut preferred: Vec<_> = healthy.iter().filter(is_in_use).cloned().collect();
    let here =
        |some: &[Arc<Endpoint>]| some.iter().filter(|endpoint| endpoint.is_local() && is_in_use(endpoint)).count();
    let (good_here, bad_here) = (here(&proven), here(&doubtful));
    let local = tiers::stays_in_zone(good_here, bad_here, thresholds);
    if local {
        preferred.retain(|endpoint| endpoint.is_local());
    }
    let in_use = if last_tier.is_none() { &reserve } else { &healthy };
    let mut weights = in_use.iter().map(|endpoint| endpoint.current_weight());
    let first = weights.next();
    let weighted = weights.any(|weight| Some(weight) != first);
    PoolSnapshot {
        sessions: Sessions::default(),
        weighted,
        endpoints: select(&|_| true),
        panic: last_tier.is_none(),
        on_probation,
        preferred,
        local,
        last_tier: last_tier.unwrap_or_default(),
        healthy,
        draining,
        uses_draining,
        reserve,
        sources,
    }
}

/// Counts the endpoints of each tier: the good ones and those that are known to be bad.
fn tiers(good: &[Arc<Endpoint>], bad: &[Arc<Endpoint>]) -> Vec<Tier> {
    let bad = bad.iter().map(|endpoint| (endpoint.tier(), 0, 1));
    let mut tiers: BTreeMap<u8, Tier> = BTreeMap::new();
    for (number, good, bad) in good.iter().map(|endpoint| (endpoint.tier(), 1, 0)).chain(bad) {
        let tier = tiers.entry(number).or_insert(Tier { number, good: 0, bad: 0 });
        tier.good += good;
        tier.bad += bad;
    }
    tiers.into_values().collect()
}

/// Whether `new` equals `old` apart from the time of the last good answer. That time changes with every query, and each
/// published snapshot costs every worker a refresh.
#[must_use]
pub fn is_same(old: &PoolSnapshot, new: &PoolSnapshot) -> bool {
    let ids = |endpoints: &[Arc<Endpoint>]| endpoints.iter().map(|endpoint| endpoint.id).collect::<Vec<_>>();
    let source = |status: &SourceStatus| {
        (status.source.clone(), status.endpoints, status.error.clone(), status.resolved.is_some())
    };
    (old.panic, old.on_probation) == (new.panic, new.on_probation)
        && (old.weighted, old.last_tier, old.local) == (new.weighted, new.last_tier, new.local)
        && old.uses_draining == new.uses_draining
        && ids(&old.endpoints) == ids(&new.endpoints)
        && ids(&old.healthy) == ids(&new.healthy)
        && ids(&old.preferred) == ids(&new.preferred)
        && ids(&old.draining) == ids(&new.draining)
        && ids(&old.reserve) == ids(&new.reserve)
        && old.sources.iter().map(source).eq(new.sources.iter().map(source))
}

#[cfg(test)]
mod tests {
    use std::{
        net::SocketAddr,
        time::{Duration, SystemTime},
    };

    use proptest::prelude::*;

    use super::*;
    use crate::config::{BACKUP, EndpointOptions};

    const STATES: [(EndpointState, bool); 9] = [
        (EndpointState::Unchecked, false),
        (EndpointState::Healthy, false),
        (EndpointState::Unhealthy, false),
        (EndpointState::Ejected, false),
        (EndpointState::Draining, false),
        (EndpointState::Draining, true),
        (EndpointState::Unhealthy, true),
        (EndpointState::Maintenance, true),
        (EndpointState::Probation, false),
    ];

    pub(super) fn address(last: u16) -> SocketAddr {
        let [high, low] = last.to_be_bytes();
        SocketAddr::from(([10, 0, high, low], 80))
    }

    fn thresholds(panic: f64) -> Thresholds {
        Thresholds { panic, tier: 0.0, zone: 0.7 }
    }

    /// One endpoint for each letter: `u`nchecked, `h`ealthy, `b`ad, `e`jected, `d`raining by itself, `o`rdered to
    /// drain, ordered to drain and `x` bad, in `m`aintenance, on `p`robation.
    fn endpoints(states: &str) -> Vec<Standing> {
        let states = states.chars().map(|letter| STATES["uhbedoxmp".find(letter).unwrap()]);
        let endpoint = |last| Arc::new(Endpoint::new(address(last), "s".into(), 1, SystemTime::now()));
        let standing = |((state, is_spared), last)| Standing { endpoint: endpoint(last), state, is_spared };
        states.zip(1..).map(standing).collect()
    }

    /// The indexes of the endpoints that a request may use.
    fn usable(states: &str, threshold: f64) -> Vec<usize> {
        let endpoints = endpoints(states);
        let snapshot = snapshot(&endpoints, thresholds(threshold), Vec::new());
        let position = |id| endpoints.iter().position(|one| one.endpoint.id == id).unwrap();
        snapshot.usable().iter().map(|endpoint| position(endpoint.id)).collect()
    }

    #[test]
    fn requests_go_to_healthy_else_unchecked_else_all_endpoints() {
        for (states, threshold, expected) in [
            ("", 0.3, vec![]),
            ("uuu", 0.3, vec![0, 1, 2]),
            ("huu", 0.3, vec![0]),
            ("huuuuuuuuu", 0.3, vec![0]),
            ("hbb", 0.3, vec![0]),
            ("hbbb", 0.3, vec![0, 1, 2, 3]),
            ("hb", 0.5, vec![0]),
            ("hbb", 0.5, vec![0, 1, 2]),
            ("hee", 0.5, vec![0, 1, 2]),
            ("ubb", 0.3, vec![0]),
            ("ubbb", 0.3, vec![0, 1, 2, 3]),
            ("bb", 0.3, vec![0, 1]),
            ("bb", 0.0, vec![0, 1]),
            ("hbbbbbbbbb", 0.0, vec![0]),
            ("hhb", 1.0, vec![0, 1, 2]),
            ("hh", 1.0, vec![0, 1]),
        ] {
            assert_eq!(usable(states, threshold), expected, "{states} at {threshold}");
        }
    }

    #[test]
    fn draining_endpoints_get_requests_only_if_no_other_is_healthy_and_those_in_maintenance_never() {
        for (states, expected) in [
            // Whoever announced the drain, another endpoint is used.
            ("hd", vec![0]),
            ("ho", vec![0]),
            ("hm", vec![0]),
            // The last ones drain: they are better than an error, and than one that may not have started.
            ("dd", vec![0, 1]),
            ("oo", vec![0, 1]),
            ("do", vec![0, 1]),
            ("dm", vec![0]),
            ("ou", vec![0]),
            ("ob", vec![0]),
            ("oe", vec![0]),
            ("mu", vec![1]),
            // Taking endpoints out of use is no reason for a panic, even if they have stopped meanwhile.
            ("hdddd", vec![0]),
            ("hoooo", vec![0]),
            ("hxxxx", vec![0]),
            ("hmmmm", vec![0]),
            // A panic does not use them while others are left.
            ("hbbbo", vec![0, 1, 2, 3]),
            ("hbbbd", vec![0, 1, 2, 3]),
            ("hbbbx", vec![0, 1, 2, 3]),
            ("hbbbm", vec![0, 1, 2, 3]),
            ("obbb", vec![0, 1, 2, 3]),
            ("bbm", vec![0, 1]),
            ("bx", vec![0]),
            ("ox", vec![0]),
            // Nothing else is left.
            ("xx", vec![0, 1]),
            ("xm", vec![0]),
            ("m", vec![]),
            ("mm", vec![]),
        ] {
            assert_eq!(usable(states, 0.3), expected, "{states}");
        }
    }

    /// The snapshot of endpoints in these states and tiers, and the positions of those that are usable.
    fn in_tiers(states: &str, tiers: &[u8]) -> (PoolSnapshot, Vec<usize>) {
        let endpoints = endpoints(states);
        for (Standing { endpoint, .. }, tier) in endpoints.iter().zip(tiers) {
            endpoint.set_options(&EndpointOptions { tier: *tier, ..EndpointOptions::default() }, None);
        }
        let snapshot = snapshot(&endpoints, thresholds(0.3), Vec::new());
        let position = |id| endpoints.iter().position(|one| one.endpoint.id == id).unwrap();
        let usable = snapshot.usable().iter().map(|endpoint| position(endpoint.id)).collect();
        (snapshot, usable)
    }

    #[test]
    fn endpoints_on_probation_get_requests_but_do_not_replace_others() {
        for (states, tiers, expected) in [
            ("hp", [1, 1], vec![0, 1]),
            ("ph", [1, BACKUP], vec![0, 1]),
            ("hp", [1, BACKUP], vec![0]),
            // Without them the pool would panic.
            ("pb", [1, 1], vec![0]),
            ("pu", [1, 1], vec![0]),
            ("pe", [1, 1], vec![0]),
            ("pd", [1, 1], vec![0]),
            ("pp", [1, 1], vec![0, 1]),
            ("pm", [1, 1], vec![0]),
        ] {
            let (snapshot, usable) = in_tiers(states, &tiers);
            assert_eq!(
                (usable, snapshot.panic, snapshot.on_probation),
                (expected, false, true),
                "{states} in {tiers:?}"
            );
        }
    }

    #[test]
    fn use_of_draining_endpoints_is_shown() {
        for (states, expected) in [("ho", false), ("oo", true), ("ou", true), ("ub", false), ("m", false)] {
            assert_eq!(snapshot(&endpoints(states), thresholds(0.3), Vec::new()).uses_draining, expected, "{states}");
        }
    }

    #[test]
    fn first_attempts_go_to_the_tiers_in_use_and_further_ones_to_all_that_are_healthy() {
        for (states, tiers, expected) in [
            ("hhh", [1, 2, BACKUP], vec![0]),
            ("bhh", [1, 2, BACKUP], vec![1]),
            ("bbh", [1, 1, BACKUP], vec![2]),
            ("buh", [1, 1, BACKUP], vec![2]),
            ("buu", [1, 1, BACKUP], vec![1]),
            ("bbb", [1, 1, BACKUP], vec![0, 1, 2]),
            ("hbh", [1, 1, BACKUP], vec![0]),
            // A further tier stands in for one that drains.
            ("dhh", [1, 2, BACKUP], vec![1]),
            ("ooh", [1, 1, BACKUP], vec![2]),
            ("odm", [1, 2, BACKUP], vec![0]),
            ("dbm", [1, 1, BACKUP], vec![0]),
        ] {
            let (snapshot, usable) = in_tiers(states, &tiers);
            assert_eq!(usable, expected, "{states} in {tiers:?}");
            let healthy = states.chars().filter(|state| *state == 'h').count();
            assert!(healthy == 0 || snapshot.healthy.len() == healthy, "{states} in {tiers:?}");
        }
    }

    #[test]
    fn endpoints_of_the_edges_zone_come_first() {
        for (states, zones, expected) in [
            ("hhhh", "aabb", vec![0, 1]),
            ("hbhh", "aabb", vec![0, 2, 3]),
            ("bbhh", "aabb", vec![2, 3]),
            ("hhhb", "aabb", vec![0, 1]),
            ("hhhh", "bbbb", vec![0, 1, 2, 3]),
            ("hbhh", "aaaa", vec![0, 2, 3]),
            ("huuu", "aabb", vec![0]),
        ] {
            let endpoints = endpoints(states);
            for (Standing { endpoint, .. }, zone) in endpoints.iter().zip(zones.chars()) {
                let options = EndpointOptions { zone: Some(zone.to_string()), ..EndpointOptions::default() };
                endpoint.set_options(&options, Some("a"));
            }
            let snapshot = snapshot(&endpoints, thresholds(0.3), Vec::new());
            let position = |id| endpoints.iter().position(|one| one.endpoint.id == id).unwrap();
            let usable: Vec<_> = snapshot.usable().iter().map(|endpoint| position(endpoint.id)).collect();
            assert_eq!(usable, expected, "{states} in {zones}");
        }
    }

    #[test]
    fn snapshot_with_only_a_new_resolution_time_is_the_same() {
        let endpoints = endpoints("hb");
        let at = |seconds, error: Option<&str>| {
            let resolved = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
            let source = SourceStatus { source: "s".into(), endpoints: 2, error: error.map(str::to_owned), resolved };
            snapshot(&endpoints, thresholds(0.3), vec![source])
        };
        assert!(is_same(&at(1, None), &at(2, None)));
        assert!(!is_same(&at(1, None), &at(1, Some("timed out"))));
        let other = self::endpoints("hb");
        let old = snapshot(&endpoints, thresholds(0.3), Vec::new());
        assert!(!is_same(&old, &snapshot(&other, thresholds(0.3), Vec::new())), "same addresses, new endpoints");
    }

    proptest! {
        #[test]
        fn pool_has_a_usable_endpoint_unless_all_are_in_maintenance(
            states in "[uhbedoxmp]{1,30}", threshold in 0.0_f64..=1.0,
        ) {
            let endpoints = endpoints(&states);
            let snapshot = snapshot(&endpoints, thresholds(threshold), Vec::new());
            prop_assert_eq!(snapshot.usable().is_empty(), states.chars().all(|letter| letter == 'm'));
            let good = match states {
                _ if states.contains(['h', 'p']) => vec![EndpointState::Healthy, EndpointState::Probation],
                _ if states.contains(['d', 'o']) => vec![EndpointState::Draining],
                _ => vec![EndpointState::Unchecked],
            };
            for Standing { endpoint, state, .. } in &endpoints {
                let is_in = |them: &[Arc<Endpoint>]| them.iter().any(|its| its.id == endpoint.id);
                if !snapshot.panic {
                    prop_assert_eq!(is_in(&snapshot.healthy), good.contains(state));
                }
                let is_out = match state {
                    EndpointState::Maintenance => true,
                    EndpointState::Draining => states.contains(['h', 'p']),
                    _ => false,
                };
                prop_assert!(!(is_out && is_in(snapshot.usable())), "{:?}", state);
            }
        }
    }
}
