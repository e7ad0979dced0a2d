//! The endpoints that SRV records name (RFC 2782).
//!
//! Pure; [`client`] sends the queries. A record has a priority, a weight, a port and a target, whose addresses are
//! resolved like any other name. Each address of a target is an endpoint with the port, the weight and the tier of the
//! record: the targets with the least priority are the first tier, those with the next one the second, and so on, so a
//! further tier stands in for the ones before, as the RFC demands of clients.
//!
//! - An answer with records is authoritative, like one with addresses: a target that is missing gets no new request.
//!   Anything else keeps the last good endpoints, also a target of `.`, by which a domain says that it does not have the
//!   service: an error in DNS must not become an outage.
//! - Addresses of a target that cannot be resolved stay as they were.
//! - Weights are relative to those of the same priority. If one is above what the edge uses, 256, they are scaled down
//!   together; 0, which asks for few requests, becomes 1.

pub(in crate::upstream) mod client;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
};

use super::answer::{AddressSet, ServiceRecord};
use crate::{
    config::{EndpointOptions, MAX_TIER, MAX_WEIGHT},
    upstream::pool::MAX_ENDPOINTS,
};

/// The maximum number of targets whose addresses are resolved.
const MAX_TARGETS: usize = 256;

/// Returns the usable records: those of the first [`MAX_TARGETS`] targets, in their order of priority.
///
/// # Errors
/// There is none.
fn usable(mut records: Vec<ServiceRecord>) -> Result<Vec<ServiceRecord>, &'static str> {
    if records.is_empty() {
        return Err("no SRV records");
    }
    records.retain(|record| record.target != "." && record.port != 0);
    // The order of an answer changes from one to the next.
    records.sort_by_key(|record| (record.priority, record.target.clone(), record.port, Reverse(record.weight)));
    let mut targets = BTreeSet::new();
    records.retain(|record| {
        if targets.len() < MAX_TARGETS {
            targets.insert(record.target.clone());
        }
        targets.contains(&record.target)
    });
    if records.is_empty() { Err("the name has no such service: the target is \".\"") } else { Ok(records) }
}

/// Returns the endpoints of usable records, given the addresses of their targets. An address that several records name
/// gets the options of the first. There are at most [`MAX_ENDPOINTS`], those with the least priority: a few thousand
/// records for a target with a few thousand addresses would make millions.
fn endpoints(
    records: &[ServiceRecord],
    targets: &HashMap<String, AddressSet>,
) -> BTreeMap<SocketAddr, EndpointOptions> {
    let priorities: BTreeSet<u16> = records.iter().map(|record| record.priority).collect();
    let tiers: HashMap<u16, u8> =
        priorities.into_iter().zip((1..MAX_TIER).chain(std::iter::repeat(MAX_TIER))).collect();
    let mut heaviest: HashMap<u16, u32> = HashMap::new();
    for record in records {
        let of_priority = heaviest.entry(record.priority).or_default();
        *of_priority = (*of_priority).max(u32::from(record.weight));
    }
    let mut endpoints = BTreeMap::new();
    for record in records {
        let options = EndpointOptions {
            weight: scaled(record.weight.into(), heaviest.get(&record.priority).copied().unwrap_or_default()),
            tier: tiers.get(&record.priority).copied().unwrap_or(MAX_TIER),
            zone: None,
        };
        for address in targets.get(&record.target).map(|target| target.at_port(record.port)).unwrap_or_default() {
            endpoints.entry(address).or_insert_with(|| options.clone());
            if endpoints.len() == MAX_ENDPOINTS {
                return endpoints;
            }
        }
    }
    endpoints
}

/// Returns a weight from 1 to [`MAX_WEIGHT`]. `heaviest` is the largest weight of its priority.
fn scaled(weight: u32, heaviest: u32) -> u32 {
    let weight = if heaviest > MAX_WEIGHT { weight * MAX_WEIGHT / heaviest } else { weight };
    weight.max(1)
}

#[cfg(test)]
mod tests;
