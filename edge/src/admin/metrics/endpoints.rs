//! The metrics of endpoints.

use std::fmt;

use prometheus_client::registry::Unit;

use super::{
    family_writer::FamilyWriter,
    series::{float, unix},
};
use crate::admin::status::{EndpointReport, PoolStatus};

pub(super) fn encode(families: &mut FamilyWriter<'_>, pools: &[PoolStatus]) -> fmt::Result {
    let all: Vec<(&PoolStatus, &EndpointReport, String)> = pools
        .iter()
        .flat_map(|pool| pool.endpoints.iter().map(move |endpoint| (pool, endpoint, endpoint.address.to_string())))
        .collect();
    let each = |number: fn(&EndpointReport) -> u64| {
        all.iter().map(move |(pool, endpoint, address)| ([pool.label(), ("endpoint", address)], number(endpoint)))
    };
    let split = |label: &'static str, numbers: fn(&EndpointReport) -> Vec<(&'static str, u64)>| {
        all.iter().flat_map(move |(pool, endpoint, address)| {
            numbers(endpoint)
                .into_iter()
                .map(move |(value, number)| ([pool.label(), ("endpoint", address.as_str()), (label, value)], number))
        })
    };
    families.gauges(
        "endpoint_usable",
        None,
        "Whether an endpoint may receive requests, 0 or 1",
        each(|endpoint| endpoint.usable.into()).map(float),
    )?;
    let states = all.iter().map(|(pool, endpoint, address)| {
        ([pool.label(), ("endpoint", address.as_str()), ("state", endpoint.state)], 1.0)
    });
    families.gauges("endpoint_state", None, "The state of an endpoint, as a label", states)?;
    let placements = all.iter().map(|(pool, endpoint, address)| {
        let tier = endpoint.tier.map_or_else(|| "backup".to_owned(), |tier| tier.to_string());
        let zone = endpoint.zone.clone().unwrap_or_default();
        ([("pool", pool.name.clone()), ("endpoint", address.clone()), ("tier", tier), ("zone", zone)], 1.0)
    });
    families.gauges("endpoint_placement", None, "The tier and the zone of an endpoint, as labels", placements)?;
    families.gauges(
        "endpoint_weight",
        None,
        "The share of the requests of an endpoint, relative to the weights of the others; grows in a slow start",
        all.iter().map(|(pool, endpoint, address)| ([pool.label(), ("endpoint", address.as_str())], endpoint.weight)),
    )?;
    families.counters(
        "endpoint_flips",
        None,
        "Changes of the state of an endpoint",
        each(|endpoint| endpoint.flips),
    )?;
    let ends = all.iter().filter_map(|(pool, endpoint, address)| {
        Some(([pool.label(), ("endpoint", address.as_str())], unix(endpoint.ejected_until?)))
    });
    let help = "When the time of an ejection is over, as Unix time; only while the endpoint is ejected";
    families.gauges("endpoint_ejection_end", Some(&Unit::Seconds), help, ends)?;
    families.gauges(
        "endpoint_suspect",
        None,
        "Whether requests that cannot be sent again avoid an endpoint",
        each(|endpoint| u64::from(endpoint.suspect.is_some())).map(float),
    )?;
    let orders = all.iter().map(|(pool, endpoint, address)| {
        ([pool.label(), ("endpoint", address.as_str()), ("order", endpoint.order)], 1.0)
    });
    families.gauges("endpoint_order", None, "The operator's order for an endpoint, as a label", orders)?;
    families.gauges(
        "endpoint_in_flight",
        None,
        "Attempts in flight",
        each(|endpoint| endpoint.in_flight).map(float),
    )?;
    families.counters("endpoint_requests", None, "Attempts, including retries", each(|endpoint| endpoint.requests))?;
    families.counters(
        "endpoint_responses",
        None,
        "Responses received",
        split("class", |endpoint| endpoint.responses.classes().into()),
    )?;
    let failures = |endpoint: &EndpointReport| {
        vec![("connect", endpoint.connect_failures), ("reset", endpoint.resets), ("timeout", endpoint.timeouts)]
    };
    families.counters("endpoint_failures", None, "Attempts without a response", split("kind", failures))?;
    families.gauges(
        "endpoint_connections",
        None,
        "Open connections",
        each(|endpoint| endpoint.connections_open).map(float),
    )?;
    families.counters(
        "endpoint_connections_opened",
        None,
        "Opened connections",
        each(|endpoint| endpoint.connections),
    )?;
    families.counters("endpoint_checks", None, "Completed health checks", each(|endpoint| endpoint.checks))?;
    families.counters(
        "endpoint_checks_failed",
        None,
        "Failed health checks",
        each(|endpoint| endpoint.checks_failed),
    )?;
    families.counters(
        "endpoint_ejections",
        None,
        "Ejections because of failed requests or server errors",
        each(|endpoint| endpoint.ejections),
    )?;
    let trials =
        |endpoint: &EndpointReport| vec![("passed", endpoint.trials_passed), ("failed", endpoint.trials_failed)];
    families.counters("endpoint_trials", None, "Requests on trial after an ejection", split("verdict", trials))?;
    families.counters(
        "endpoint_slow_starts",
        None,
        "Slow starts of an endpoint that was new or recovered",
        each(|endpoint| endpoint.slow_starts),
    )?;
    let drains = |endpoint: &EndpointReport| {
        vec![("endpoint", endpoint.announced_drains), ("operator", endpoint.ordered_drains)]
    };
    let help = "Drains that the endpoint announced, and that the operator ordered, with maintenance";
    families.counters("endpoint_drains", None, help, split("by", drains))
}
