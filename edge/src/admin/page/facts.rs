//! What the page says of a pool and of an endpoint in a few words.

use std::{
    fmt::{self, Write},
    time::{Duration, SystemTime},
};

use super::format::{Escaped, count, relative_time};
use crate::admin::status::{EndpointReport, PoolStatus};

/// An endpoint whose state changed within this time is notable.
const LATELY: Duration = Duration::from_secs(10 * 60);

/// The most earlier states that are shown.
const STATES_BEFORE: usize = 2;

/// Writes what the edge decided in a pool, apart from what never happened.
pub(super) fn decisions(out: &mut String, pool: &PoolStatus) -> fmt::Result {
    write!(out, "{} retries", count(pool.retries))?;
    let reasons = pool.retry_reasons.iter().filter(|(_, number)| *number > 0);
    let reasons: Vec<_> =
        reasons.map(|(reason, number)| format!("{} {}", reason.replace('_', " "), count(*number))).collect();
    if !reasons.is_empty() {
        write!(out, " ({})", reasons.join(", "))?;
    }
    write!(out, " · {} without an endpoint · ", count(pool.no_endpoint))?;
    for (number, words) in [
        (pool.queue_length as u64, "waiting for a connection"),
        (pool.queued, "waited for a connection"),
        (pool.queue_timeouts, "waited for too long"),
        (pool.queue_overflows, "could not wait"),
        (pool.sessions_moved, "moved from the endpoint of their session"),
    ] {
        if number > 0 {
            write!(out, "{} {words} · ", count(number))?;
        }
    }
    if pool.panics > 0 {
        write!(out, "panics so far: {} · ", count(pool.panics))?;
    }
    if pool.endpoints.iter().any(|endpoint| endpoint.tier != Some(1)) {
        write!(out, "tiers in use: {} · ", pool.tiers_in_use.join(", "))?;
    }
    match (&pool.zone, &pool.zone_in_use) {
        (_, Some(zone)) => write!(out, "only zone {} in use · ", Escaped(zone)),
        (Some(zone), None) => write!(out, "all zones in use, not only {} · ", Escaped(zone)),
        (None, None) => Ok(()),
    }?;
    let Some(mesh) = &pool.mesh else { return Ok(()) };
    write!(out, "{} warm connections to each node, ", mesh.warm)?;
    write!(out, "connect timeout {:.0} ms, ", mesh.connect_timeout_ms)?;
    write!(out, "second connections {}, in time {} · ", count(mesh.races), count(mesh.races_won))
}

/// The options of an endpoint that are not the default.
pub(super) fn placement(endpoint: &EndpointReport) -> Vec<String> {
    let weight = ((endpoint.weight - 1.0).abs() > f64::EPSILON).then(|| format!("weight {}", endpoint.weight));
    let tier = match endpoint.tier {
        Some(1) => None,
        Some(tier) => Some(format!("tier {tier}")),
        None => Some("backup".to_owned()),
    };
    let zone = endpoint.zone.as_ref().map(|zone| format!("zone {zone}"));
    [weight, tier, zone].into_iter().flatten().collect()
}

/// The ejections of an endpoint and the states before, as HTML.
pub(super) fn history(endpoint: &EndpointReport, now: SystemTime) -> String {
    let mut history = String::new();
    // Writing to a `String` cannot fail.
    match endpoint.ejected_until {
        Some(end) if end > now => write!(history, " · ends {}", relative_time(end, now)).ok(),
        Some(_) => write!(history, " · waits for a check").ok(),
        None => None,
    };
    if endpoint.ejections > 0 {
        write!(history, " · ejections: {}", count(endpoint.ejections)).ok();
    }
    // The first state, of which nothing is known, says nothing.
    let before = endpoint.states_before.iter().filter(|before| before.state != "unchecked");
    for (index, before) in before.take(STATES_BEFORE).enumerate() {
        let words = if index == 0 { "<br>before: " } else { ", " };
        write!(history, "{words}{} {}", before.state, relative_time(before.since, now)).ok();
    }
    history
}

/// Whether an endpoint is not as it always is.
pub(super) fn is_notable(endpoint: &EndpointReport, now: SystemTime) -> bool {
    let lately = now.duration_since(endpoint.since).is_ok_and(|since| since < LATELY);
    endpoint.state != "healthy"
        || endpoint.suspect.is_some()
        || endpoint.order != "ready"
        || (lately && endpoint.flips > 1)
}
