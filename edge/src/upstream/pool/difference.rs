//! Which endpoints join a pool and which leave it. Pure: sets go in, differences come out.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

/// The largest number of endpoints of one pool, far above what one edge can check every few seconds. The lowest
/// addresses are used, so that the choice does not change from answer to answer.
pub const MAX_ENDPOINTS: usize = 4096;

/// The changes that give a pool the endpoints that its sources name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Endpoints to remove.
    pub removed: Vec<SocketAddr>,
    /// Endpoints to add, each with its source.
    pub added: Vec<(SocketAddr, Arc<str>)>,
}

/// Compares the endpoints of a pool, by address and source, with the addresses that its sources name.
///
/// An address that several sources name is one endpoint and belongs to the first of them. It stays the same endpoint
/// only while its own source names it: the same overlay address under another name is another service.
#[must_use]
pub fn difference<'a>(
    present: &BTreeMap<SocketAddr, Arc<str>>,
    sources: impl IntoIterator<Item = (&'a Arc<str>, &'a BTreeSet<SocketAddr>)>,
) -> Difference {
    let mut wanted: BTreeMap<SocketAddr, Vec<&Arc<str>>> = BTreeMap::new();
    for (source, addresses) in sources {
        for address in addresses {
            wanted.entry(*address).or_default().push(source);
        }
    }
    if let Some(first_beyond) = wanted.keys().nth(MAX_ENDPOINTS).copied() {
        wanted.split_off(&first_beyond);
    }
    let stays =
        |address: &SocketAddr, source: &Arc<str>| wanted.get(address).is_some_and(|sources| sources.contains(&source));
    Difference {
        removed: present
            .iter()
            .filter(|(address, source)| !stays(address, source))
            .map(|(address, _)| *address)
            .collect(),
        added: wanted
            .iter()
            .filter(|(address, _)| !present.get(*address).is_some_and(|source| stays(address, source)))
            .filter_map(|(address, sources)| Some((*address, Arc::clone(sources.first()?))))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::tests::address, *};

    fn addresses(lasts: impl IntoIterator<Item = u16>) -> BTreeSet<SocketAddr> {
        lasts.into_iter().map(address).collect()
    }

    #[test]
    fn address_of_two_sources_is_one_endpoint_of_the_first() {
        let (a, b): (Arc<str>, Arc<str>) = ("a:80".into(), "b:80".into());
        let (of_a, of_b) = (addresses([1, 2]), addresses([2, 3]));
        let found = difference(&BTreeMap::new(), [(&a, &of_a), (&b, &of_b)]);
        assert_eq!(found.added, [(address(1), a.clone()), (address(2), a.clone()), (address(3), b.clone())]);
    }

    #[test]
    fn address_that_moves_to_another_source_is_another_endpoint() {
        let (a, b): (Arc<str>, Arc<str>) = ("a:80".into(), "b:80".into());
        let present = BTreeMap::from([(address(1), a.clone())]);
        let (empty, one) = (addresses([]), addresses([1]));
        let found = difference(&present, [(&a, &empty), (&b, &one)]);
        assert_eq!(found, Difference { removed: vec![address(1)], added: vec![(address(1), b.clone())] });
        let found = difference(&present, [(&b, &one), (&a, &one)]);
        assert_eq!(found, Difference::default(), "its own source still names it");
    }

    #[test]
    fn pool_is_capped_at_its_lowest_addresses() {
        let source: Arc<str> = "s".into();
        let all = addresses(0..5000);
        let found = difference(&BTreeMap::new(), [(&source, &all)]);
        assert_eq!(found.added.len(), MAX_ENDPOINTS);
        assert_eq!(found.added.last().map(|(address, _)| *address), Some(address(4095)));
    }

    proptest! {
        #[test]
        fn applying_the_difference_gives_the_wanted_set(
            before in prop::collection::btree_map(1_u16..20, 0..2_usize, 0..20),
            a in prop::collection::btree_set(1_u16..20, 0..20),
            b in prop::collection::btree_set(1_u16..20, 0..20),
        ) {
            let names: [Arc<str>; 2] = ["a:80".into(), "b:80".into()];
            let mut pool: BTreeMap<_, _> =
                before.into_iter().map(|(last, source)| (address(last), names[source].clone())).collect();
            let (a, b) = (addresses(a), addresses(b));
            let sources = [(&names[0], &a), (&names[1], &b)];
            let found = difference(&pool, sources);
            for address in found.removed {
                prop_assert!(pool.remove(&address).is_some());
            }
            for (address, source) in found.added {
                prop_assert!(pool.insert(address, source).is_none(), "replaced without being removed");
            }
            prop_assert_eq!(pool.keys().copied().collect::<BTreeSet<_>>(), a.union(&b).copied().collect());
            for (address, source) in &pool {
                let named = if *source == names[0] { &a } else { &b };
                prop_assert!(named.contains(address));
            }
            prop_assert_eq!(difference(&pool, sources), Difference::default());
        }
    }
}
