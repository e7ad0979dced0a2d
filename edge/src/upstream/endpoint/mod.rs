//! One address that requests can be sent to, and its state as workers and people see it.

mod evidence;
mod state;

use std::{
    borrow::Cow,
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use tokio::{sync::Notify, time::Instant};

pub use self::state::{EndpointState, EndpointStatus, Flip};
use super::{
    balance, health::error_share::Responses, idle_life::IdleLife, order::Order, outage::Outage, probation::Probation,
    suspicion::Suspicion,
};
use crate::{
    config::EndpointOptions,
    observe::stats::{Counter, EndpointStats, PerWorker},
};

/// What [`Endpoint::current_weight`] is for a weight of 1.
pub const WEIGHT_UNIT: u32 = 100;

/// One address that requests can be sent to, while it stays in its pool.
///
/// An address that leaves the pool and returns is a new endpoint with a new id: an overlay network reuses addresses
/// for other services, so a connection of the old endpoint must not serve the new one.
#[derive(Debug)]
pub struct Endpoint {
    /// Unique in this process, never reused.
    pub id: u64,
    /// The address it listens on.
    pub address: SocketAddr,
    /// The hash of its address, for consistent hashing.
    pub hash: u64,
    /// The configured source that named it, such as `host:port` or `swarm://host:port?port=port`.
    pub source: Arc<str>,
    /// Its share of the requests, relative to the others'. Written by the control thread.
    weight: AtomicU32,
    /// The percentage of it that the endpoint has; see [`slow_start`](super::slow_start). Written by the control thread.
    percentage: AtomicU32,
    /// See [`tier`](Self::tier). Written by the control thread.
    tier: AtomicU8,
    /// See [`is_local`](Self::is_local). Written by the control thread.
    local: AtomicBool,
    /// Open connections over all workers. Changes only when a connection opens or closes.
    pub connections: AtomicUsize,
    /// How long it keeps idle connections. Changes only when it closes one.
    pub idle_life: IdleLife,
    /// Since when it cannot be reached. Changes only when a connection cannot be opened, or is opened again.
    pub outage: Outage,
    /// What is known against it, for requests that cannot be sent again.
    pub suspicion: Suspicion,
    /// Counters, one copy for each worker.
    pub stats: PerWorker<EndpointStats>,
    /// Counters that the control thread writes.
    pub checks: CheckStats,
    /// Failed requests since the last successful one.
    failures_in_a_row: AtomicU32,
    /// Whether one of them was not a failure to connect.
    failed_connected: AtomicBool,
    /// See [`sends_surplus`](Self::sends_surplus).
    sends_surplus: AtomicBool,
    /// Server errors since the last other response; only counted where the pool ejects because of them.
    errors_in_a_row: AtomicU32,
    /// Whether it gets one request at a time, and which.
    pub(super) probation: Probation,
    /// Wakes the endpoint's task on the control thread after a failed request, so that it checks at once.
    failure: Notify,
    /// Whether a request has waited long for its response since the last check began.
    overdue: AtomicBool,
    /// Wakes the endpoint's task when `overdue` becomes true, so that it checks soon.
    became_overdue: Notify,
    /// Whether its checks fail. Read by requests that already wait for a response; new requests use the snapshot.
    down: AtomicBool,
    /// Whether it is in maintenance, so that its connections are not kept.
    in_maintenance: AtomicBool,
    /// Whether a response announced that the endpoint drains. Reset when the drain ends.
    announced_drain: AtomicBool,
    /// Wakes the endpoint's task when `announced_drain` becomes true.
    drain: Notify,
    /// Written by the control thread on a change, read by the admin listener.
    status: Mutex<EndpointStatus>,
    /// See [`flips`](Self::flips).
    flips: Mutex<VecDeque<Flip>>,
    /// See [`zone`](Self::zone). Written by the control thread.
    zone: Mutex<Option<String>>,
}

/// Counters of one endpoint that the control thread writes.
#[derive(Debug, Default)]
pub struct CheckStats {
    /// Completed active health checks.
    pub done: Counter,
    /// Failed active health checks.
    pub failed: Counter,
    /// Ejections after failed requests or server errors.
    pub ejections: Counter,
    /// Changes of its state.
    pub flips: Counter,
    /// Requests on trial after an ejection that succeeded.
    pub trials_passed: Counter,
    /// Requests on trial after an ejection that failed.
    pub trials_failed: Counter,
    /// Slow starts.
    pub slow_starts: Counter,
    /// Drains that the endpoint announced.
    pub announced_drains: Counter,
    /// Orders of the operator that took it out of use: to drain, or for maintenance.
    pub ordered_drains: Counter,
}

/// The most [flips](Endpoint::flips) that an endpoint remembers.
const FLIPS: usize = 5;

impl Endpoint {
    /// Creates an endpoint in state [`EndpointState::Unchecked`], with an id of its own.
    #[must_use]
    pub fn new(address: SocketAddr, source: Arc<str>, workers: usize, now: SystemTime) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            address,
            hash: balance::hash(address.to_string().as_bytes()),
            source,
            weight: AtomicU32::new(1),
            percentage: AtomicU32::new(WEIGHT_UNIT),
            tier: AtomicU8::new(1),
            local: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            idle_life: IdleLife::new(Instant::now()),
            outage: Outage::new(Instant::now()),
            suspicion: Suspicion::new(Instant::now()),
            stats: PerWorker::new(workers),
            checks: CheckStats::default(),
            failures_in_a_row: AtomicU32::new(0),
            failed_connected: AtomicBool::new(false),
            sends_surplus: AtomicBool::new(false),
            errors_in_a_row: AtomicU32::new(0),
            probation: Probation::default(),
            failure: Notify::new(),
            overdue: AtomicBool::new(false),
            became_overdue: Notify::new(),
            down: AtomicBool::new(false),
            in_maintenance: AtomicBool::new(false),
            announced_drain: AtomicBool::new(false),
            drain: Notify::new(),
            status: Mutex::new(EndpointStatus {
                state: EndpointState::Unchecked,
                reason: String::new(),
                order: Order::Ready,
                since: now,
                ejected_until: None,
            }),
            flips: Mutex::default(),
            zone: Mutex::default(),
        }
    }

    /// The `Host` of its health checks: the name it was resolved from, or its address.
    #[must_use]
    pub fn authority(&self) -> Cow<'_, str> {
        if self.source.contains("://") { self.address.to_string().into() } else { (&*self.source).into() }
    }

    /// Its share of the requests, relative to the weights of the others; at least 1.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    /// Its weight in parts of [`WEIGHT_UNIT`], of which a slow start takes away some; at least 10.
    #[must_use]
    pub fn current_weight(&self) -> u32 {
        self.weight().saturating_mul(self.percentage())
    }

    /// The percentage of its weight that it has.
    #[must_use]
    pub fn percentage(&self) -> u32 {
        self.percentage.load(Relaxed)
    }

    /// Sets the percentage of its weight that it has. Called on the control thread only, before a snapshot is
    /// published.
    pub(super) fn set_percentage(&self, percentage: u32) {
        self.percentage.store(percentage, Relaxed);
    }

    /// Whether it accepts a request: it is not on probation, or no other request is on trial. `now` is the age of the
    /// worker's clock.
    #[must_use]
    pub fn admits(&self, now: Duration) -> bool {
        self.probation.admits(now)
    }

    /// Its tier; see [`EndpointOptions::tier`].
    #[must_use]
    pub fn tier(&self) -> u8 {
        self.tier.load(Relaxed)
    }

    /// Its zone, for the status page.
    #[must_use]
    pub fn zone(&self) -> Option<String> {
        self.zone.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it is in the zone of this edge.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.local.load(Relaxed)
    }

    /// Gives it the options of its source; `zone` is that of this edge. Called on the control thread only, before a
    /// snapshot is published.
    pub fn set_options(&self, options: &EndpointOptions, zone: Option<&str>) {
        self.weight.store(options.weight.max(1), Relaxed);
        self.tier.store(options.tier, Relaxed);
        self.local.store(zone.is_some() && options.zone.as_deref() == zone, Relaxed);
        self.zone.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&options.zone);
    }

    /// Returns the number of its responses so far, and of the server errors among them.
    #[must_use]
    pub fn responses(&self) -> Responses {
        Responses {
            total: self.stats.sum(|stats| stats.responses.iter().map(Counter::value).sum()),
            errors: self.stats.sum(|stats| stats.server_errors.value()),
        }
    }

    /// Returns the number of its answers so far, to requests and to health checks on open connections.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.responses().total.wrapping_add(self.stats.sum(|stats| stats.asks.value()))
    }

    /// How long it takes to respond, in seconds, as a worker measured it, or else any other worker; 0 if none did.
    /// `now` is the age of the worker's clock.
    ///
    /// A worker must learn from the others: it counts their requests as well, so an endpoint that they keep busy would
    /// look too risky for its first measurement for ever.
    #[must_use]
    pub fn latency(&self, worker: usize, now: Duration) -> f64 {
        let own = self.stats.of(worker).latency.seconds(now);
        if own > 0.0 {
            return own;
        }
        self.stats.iter().map(|stats| stats.latency.seconds(now)).fold(0.0, f64::max)
    }

    /// Wakes the endpoint's task after a verdict, or an ejection that the task did not decide itself.
    pub(super) fn wake(&self) {
        self.failure.notify_one();
    }

    /// Returns its state with the reason, for the status page.
    #[must_use]
    pub fn status(&self) -> EndpointStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether its checks fail, so that a request that waits for its response may give up.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    /// Sets its state. Called on the control thread only.
    pub fn set_status(&self, status: EndpointStatus) {
        self.down.store(status.state == EndpointState::Unhealthy, Relaxed);
        self.in_maintenance.store(status.state == EndpointState::Maintenance, Relaxed);
        let mut current = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let state = status.state;
        let before = std::mem::replace(&mut *current, status);
        drop(current);
        if before.state != state {
            self.checks.flips.add(1);
            let mut flips = self.flips.lock().unwrap_or_else(PoisonError::into_inner);
            flips.truncate(FLIPS - 1);
            flips.push_front(Flip { state: before.state, reason: before.reason, since: before.since });
        }
    }

    /// Returns the states before the current one, the last one first.
    #[must_use]
    pub fn flips(&self) -> Vec<Flip> {
        self.flips.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Whether it sent bytes that belong to no request, so that its connections are not reused.
    #[must_use]
    pub fn sends_surplus(&self) -> bool {
        self.sends_surplus.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_without_a_measurement_uses_those_of_the_others() {
        let endpoint = Endpoint::new(([10, 0, 0, 1], 80).into(), "s".into(), 3, SystemTime::UNIX_EPOCH);
        let now = Duration::from_secs(5);
        let seconds = |worker| endpoint.latency(worker, now);
        assert!(seconds(0) <= 0.0);
        endpoint.stats.of(1).latency.record(Duration::from_millis(20), now);
        endpoint.stats.of(2).latency.record(Duration::from_millis(80), now);
        for (worker, expected) in [(0, 0.08), (1, 0.02), (2, 0.08)] {
            assert!((seconds(worker) - expected).abs() < 1e-9, "worker {worker}");
        }
    }
}
