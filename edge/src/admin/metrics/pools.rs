//! The metrics of pools, with their sources and latencies.

use std::fmt;

use prometheus_client::{metrics::MetricType, registry::Unit};

use super::{
    family_writer::FamilyWriter,
    series::{flag, float},
};
use crate::{
    admin::status::{PoolStatus, SourceReport},
    observe::stats::LATENCY_BOUNDS_US,
};

pub(super) fn encode(families: &mut FamilyWriter<'_>, pools: &[PoolStatus]) -> fmt::Result {
    let each = |number: fn(&PoolStatus) -> u64| pools.iter().map(move |pool| ([pool.label()], number(pool)));
    families.counters("pool_requests", None, "Requests routed to a pool", each(|pool| pool.requests))?;
    let responses = pools
        .iter()
        .flat_map(|pool| pool.responses.classes().map(|(class, count)| ([pool.label(), ("class", class)], count)));
    families.counters("pool_responses", None, "Responses sent to clients", responses)?;
    families.counters("pool_retries", None, "Attempts after the first one of a request", each(|pool| pool.retries))?;
    let reasons = pools.iter().flat_map(|pool| {
        pool.retry_reasons.iter().map(|(reason, count)| ([pool.label(), ("reason", *reason)], *count))
    });
    families.counters(
        "pool_retry_reasons",
        None,
        "Attempts after the first one, by why the one before failed",
        reasons,
    )?;
    families.counters(
        "pool_sessions_moved",
        None,
        "Requests that moved from the endpoint of their session to another one",
        each(|pool| pool.sessions_moved),
    )?;
    let decisions = pools.iter().flat_map(|pool| {
        pool.decision_counts.iter().map(|(decision, count)| ([pool.label(), ("decision", *decision)], *count))
    });
    families.counters("pool_decisions", None, "Decisions about the endpoints of a pool", decisions)?;
    families.counters(
        "pool_retries_over_budget",
        None,
        "Requests that were not sent again, because the budget of retries was used up",
        each(|pool| pool.over_budget),
    )?;
    families.counters(
        "pool_hedges",
        None,
        "Requests that were sent to a second endpoint, because the first one was slow",
        each(|pool| pool.hedges),
    )?;
    families.counters(
        "pool_hedges_won",
        None,
        "Hedged requests to which the second endpoint responded first",
        each(|pool| pool.hedges_won),
    )?;
    families.counters(
        "pool_no_endpoint",
        None,
        "Requests for which there was no endpoint",
        each(|pool| pool.no_endpoint),
    )?;
    families.gauges(
        "pool_queue_length",
        None,
        "Requests that wait for a connection, because every usable endpoint has as many as allowed",
        each(|pool| pool.queue_length as u64).map(float),
    )?;
    families.counters("pool_queued", None, "Requests that waited for a connection", each(|pool| pool.queued))?;
    families.counters(
        "pool_queue_timeouts",
        None,
        "Requests that waited for a connection for too long",
        each(|pool| pool.queue_timeouts),
    )?;
    families.counters(
        "pool_queue_overflows",
        None,
        "Requests that could not wait for a connection, because too many waited",
        each(|pool| pool.queue_overflows),
    )?;
    families.counters(
        "pool_panics",
        None,
        "How often the pool entered panic mode, in which health is ignored",
        each(|pool| pool.panics),
    )?;
    families.gauges(
        "pool_panic",
        None,
        "Whether the pool is in panic mode, in which health is ignored, 0 or 1",
        each(|pool| pool.panic.into()).map(float),
    )?;
    families.gauges(
        "pool_uses_draining",
        None,
        "Whether requests go to endpoints that drain, because no other is healthy, 0 or 1",
        each(|pool| pool.uses_draining.into()).map(float),
    )?;
    let tiers = pools
        .iter()
        .flat_map(|pool| pool.tiers_in_use.iter().map(|tier| ([pool.label(), ("tier", tier.as_str())], 1.0)));
    families.gauges("pool_tier_in_use", None, "A tier that gets requests, as a label", tiers)?;
    let zones = pools.iter().filter(|pool| pool.zone.is_some());
    let zones = zones.map(|pool| ([pool.label()], flag(pool.zone_in_use.is_some())));
    families.gauges(
        "pool_own_zone_only",
        None,
        "Whether only endpoints of the edge's zone get requests, 0 or 1",
        zones,
    )?;
    families.gauges("pool_endpoints", None, "Known endpoints", each(|pool| pool.endpoints.len() as u64).map(float))?;
    families.gauges(
        "pool_endpoints_usable",
        None,
        "Endpoints that may receive requests",
        each(|pool| pool.usable as u64).map(float),
    )?;
    sources(families, pools)?;
    latency(families, pools)
}

fn sources(families: &mut FamilyWriter<'_>, pools: &[PoolStatus]) -> fmt::Result {
    fn each<N>(
        pools: &[PoolStatus],
        number: fn(&SourceReport) -> N,
    ) -> impl Iterator<Item = ([(&'static str, &str); 2], N)> {
        pools.iter().flat_map(move |pool| {
            pool.sources.iter().map(move |source| ([pool.label(), ("source", source.source.as_str())], number(source)))
        })
    }
    let up = each(pools, |source| flag(source.error.is_none()));
    families.gauges("source_up", None, "Whether the last query for a source succeeded, 0 or 1", up)?;
    let endpoints = each(pools, |source| source.endpoints as f64);
    families.gauges("source_endpoints", None, "Endpoints of a source", endpoints)?;
    let questions = each(pools, |source| source.questions);
    families.counters(
        "source_questions",
        None,
        "Completed queries for a source: to name servers or to the watch of a swarm, or reads of its file",
        questions,
    )?;
    let failures = each(pools, |source| source.failures);
    families.counters("source_failures", None, "Failed queries for a source", failures)
}

fn latency(families: &mut FamilyWriter<'_>, pools: &[PoolStatus]) -> fmt::Result {
    let help = "Time from reading the head of a request to having the head of the response";
    let mut family = families.0.encode_descriptor("pool_latency", help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for pool in pools {
        let histogram = &pool.latency.histogram;
        let bounds = LATENCY_BOUNDS_US.into_iter().map(|bound| bound as f64 / 1e6).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(histogram.buckets).collect();
        let sum = histogram.sum_us as f64 / 1e6;
        family.encode_family(&[pool.label()])?.encode_histogram::<[(&str, &str); 0]>(
            sum,
            histogram.count(),
            &buckets,
            None,
        )?;
    }
    Ok(())
}
