//! When an endpoint is checked, and when it is ejected or drains.
//!
//! Requests make checks sooner than their interval. A failed one triggers a check at once, and one that waits long for
//! its response triggers one, too, but at most once per interval: a URL that is always slow must not multiply the
//! checks. If that check connects and gets no answer either, and no request got a response meanwhile, the endpoint
//! hangs, and is unhealthy at once (HAProxy's `on-error sudden-death`). A check that only connects cannot see that,
//! because the kernel accepts connections for a program that hangs.
//!
//! While the pool gets no requests, checks may be rare: nobody would notice an endpoint that is down, and the first
//! request makes them frequent at once.
//!
//! [`watch`] runs both for one endpoint. It gets the check as an argument, so that its timing is tested without a
//! socket, and reports to an [`Observer`]. It ends by itself when the endpoint has left its pool or the pool no longer
//! exists.

use std::time::Duration;

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    Health, delay, initial_delay,
    probe::{Failure, Outcome},
    state::jittered,
};
use crate::{
    config::HealthCheck,
    upstream::{endpoint::Endpoint, traffic::LastRequest},
};

/// Receives what happens to one endpoint. Every method returns `None` once the endpoint has left its pool.
pub(in crate::upstream) trait Observer {
    /// Records the outcome of a check that completed at `now`, and returns the endpoint's new health.
    fn check_completed(&self, outcome: &Outcome, now: Instant) -> Option<Health>;

    /// Records that a request failed.
    fn request_failed(&self) -> Option<()>;

    /// Records that the time of the endpoint's ejection is over.
    fn ejection_expired(&self) -> Option<()>;

    /// Returns the endpoint's current health.
    fn health(&self) -> Option<Health>;

    /// Returns when the time of the endpoint's ejection is over; the inner `None` if there is nothing to wait for.
    fn ejected_until(&self) -> Option<Option<Instant>>;

    /// Records that a response announced a drain.
    fn drain_announced(&self) -> Option<()>;

    /// Records that the time of an announced drain is over.
    fn drain_expired(&self) -> Option<()>;

    /// Returns when the time of an announced drain is over; the inner `None` if there is none, or if checks end it.
    fn drains_until(&self) -> Option<Option<Instant>>;
}

/// Checks an endpoint, and takes it out of use when requests fail or responses announce a drain, while it is in its
/// pool. A probe must end by itself. `last_request` tells whether the pool gets requests.
pub(in crate::upstream) async fn watch(
    endpoint: &Endpoint,
    check: Option<HealthCheck>,
    probe: impl AsyncFn(&HealthCheck, &Endpoint, &Health) -> Outcome,
    observer: impl Observer,
    last_request: &LastRequest,
) {
    // A failed request triggers a check at once, even if it fails during a check.
    let check_now = Notify::new();
    tokio::join!(observe_requests(endpoint, check.as_ref(), &observer, &check_now), async {
        if let Some(check) = &check {
            check_repeatedly(endpoint, check, &check_now, probe, &observer, last_request).await;
        }
    });
}

async fn observe_requests(
    endpoint: &Endpoint,
    check: Option<&HealthCheck>,
    observer: &impl Observer,
    check_now: &Notify,
) {
    // When a request that waits last hurried a check.
    let mut hurried = None;
    while let Some((ejected_until, drains_until)) = observer.ejected_until().zip(observer.drains_until()) {
        let recorded = tokio::select! {
            () = endpoint.wait_for_failure() => observer.request_failed(),
            () = reached(ejected_until) => observer.ejection_expired(),
            () = endpoint.wait_for_drain() => {
                // The next check would end the drain the sooner.
                if observer.drain_announced().is_none() {
                    return;
                }
                continue;
            }
            () = reached(drains_until) => observer.drain_expired(),
            () = endpoint.wait_until_overdue() => {
                let now = Instant::now();
                if check.is_some_and(|check| may_hurry(check, hurried, now)) {
                    hurried = Some(now);
                    check_now.notify_one();
                }
                continue;
            }
        };
        if recorded.is_none() {
            return;
        }
        check_now.notify_one();
    }
}

/// Waits until this time, or for ever.
async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Whether a request that waits may hurry the next check, if one last did so at `hurried`.
fn may_hurry(check: &HealthCheck, hurried: Option<Instant>, now: Instant) -> bool {
    hurried.is_none_or(|hurried| now.saturating_duration_since(hurried) >= check.interval)
}

async fn check_repeatedly(
    endpoint: &Endpoint,
    check: &HealthCheck,
    check_now: &Notify,
    probe: impl AsyncFn(&HealthCheck, &Endpoint, &Health) -> Outcome,
    observer: &impl Observer,
    last_request: &LastRequest,
) {
    let Some(mut health) = observer.health() else { return };
    let mut regular = Instant::now() + first_delay(check, &health, fastrand::f64());
    let mut first = health == Health::unchecked();
    let mut last = None;
    loop {
        // Before it is decided whether the pool is idle, so that no request is missed.
        let next_request = last_request.next();
        let now = Instant::now();
        let idle = last_request.idle_interval(check, endpoint, &health, now).filter(|_| last.is_some());
        let due = idle.map_or(regular, |interval| regular.max(now + jittered(interval, fastrand::f64())));
        tokio::select! {
            () = sleep_until(due) => {}
            // Back to the interval at once.
            () = next_request, if idle.is_some() => continue,
            () = check_now.notified() => {
                let soonest = last.map_or_else(Instant::now, |last: Instant| last + check.fast_interval);
                sleep_until(due.min(soonest)).await;
            }
        }
        let outcome = probe_and_compare(check, endpoint, &health, &probe).await;
        let now = Instant::now();
        let Some(after) = observer.check_completed(&outcome, now) else { return };
        health = after;
        let delay = if first { initial_delay(check, fastrand::f64()) } else { delay(check, &health, fastrand::f64()) };
        (regular, last, first) = (now + delay, Some(now), false);
    }
}

/// Checks once, and compares the outcome with what requests see meanwhile.
async fn probe_and_compare(
    check: &HealthCheck,
    endpoint: &Endpoint,
    health: &Health,
    probe: &impl AsyncFn(&HealthCheck, &Endpoint, &Health) -> Outcome,
) -> Outcome {
    let responses = endpoint.responses();
    // Requests that still wait say so again within the next second.
    endpoint.take_overdue();
    let outcome = probe(check, endpoint, health).await;
    let is_silent = endpoint.take_overdue() && endpoint.responses() == responses;
    match outcome {
        Err(Failure::Timeout(timeout) | Failure::HandshakeTimeout(timeout)) if is_silent => Err(Failure::Hung(timeout)),
        // A single lost segment delays a connection for a second. Two in a row show a full backlog or a dead machine.
        Err(Failure::ConnectTimeout(timeout)) if is_silent && health.is_changing() => Err(Failure::Hung(timeout)),
        outcome => outcome,
    }
}

/// Returns zero for an endpoint whose health is unknown or changing, and a random delay for one that a reload kept.
fn first_delay(check: &HealthCheck, health: &Health, chance: f64) -> Duration {
    if health.is_changing() { Duration::ZERO } else { initial_delay(check, chance) }
}

#[cfg(test)]
mod tests;
