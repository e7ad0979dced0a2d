//! One address that requests can be sent to, and its state as workers and people see it.

use std::{
    borrow::Cow,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use tokio::{sync::Notify, time::Instant};
use tracing::warn;

use super::{
    balance,
    health::{Health, HealthStatus, error_share::Responses, outlier::Outlier},
    idle_life::IdleLife,
    order::Order,
};
use crate::{
    config::{self, EndpointOptions},
    observe::stats::{Counter, EndpointStats, PerWorker},
};

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
    /// The configured source that named it, `host:port` or `swarm://host:port?port=port`.
    pub source: Arc<str>,
    /// Its share of the requests, relative to the others'. Written by the control thread.
    weight: AtomicU32,
    /// See [`tier`](Self::tier). Written by the control thread.
    tier: AtomicU8,
    /// See [`is_local`](Self::is_local). Written by the control thread.
    local: AtomicBool,
    /// Open connections over all workers. Changes only when a connection opens or closes.
    pub connections: AtomicUsize,
    /// How long it keeps idle connections. Changes only when it closes one.
    pub idle_life: IdleLife,
    /// Counters, one copy for each worker.
    pub stats: PerWorker<EndpointStats>,
    /// Counters that the control thread writes.
    pub checks: CheckStats,
    /// Failed requests since the last successful one.
    failures_in_a_row: AtomicU32,
    /// Whether one of them was not a failure to connect.
    failed_connected: AtomicBool,
    /// See [`sent_surplus`](Self::sent_surplus).
    sends_surplus: AtomicBool,
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
    /// Drains that the endpoint announced.
    pub announced_drains: Counter,
    /// Orders of the operator that took it out of use: to drain, or for maintenance.
    pub ordered_drains: Counter,
}

/// An endpoint's state with its reason, for the status page. Requests use the snapshot instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Whether it gets requests.
    pub state: EndpointState,
    /// The reason for the state: the last check's outcome, the ejection or the drain.
    pub reason: String,
    /// What the operator ordered. The state may hide it: an endpoint may drain and be unhealthy.
    pub order: Order,
    /// When it entered the state.
    pub since: SystemTime,
}

/// Whether an endpoint gets requests, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// Not checked yet.
    Unchecked,
    /// It gets requests.
    Healthy,
    /// Its checks fail.
    Unhealthy,
    /// Its checks pass or are off, but too many requests in a row failed, or too many responses are server errors.
    Ejected,
    /// It gets no new requests because the operator or the endpoint itself said so. Nothing else is against it, so it
    /// is used if no other endpoint is left.
    Draining,
    /// It gets no requests and no checks, because the operator said so.
    Maintenance,
}

impl EndpointState {
    /// Returns the state that follows from the checks, from failed requests and from the operator's order. Failing
    /// checks hide an ejection, and both hide a drain.
    #[must_use]
    pub fn of(health: &Health, outlier: &Outlier, order: Order) -> Self {
        match health.status() {
            _ if order == Order::Maintenance => Self::Maintenance,
            HealthStatus::Unhealthy => Self::Unhealthy,
            _ if outlier.is_ejected() => Self::Ejected,
            _ if order == Order::Drain => Self::Draining,
            HealthStatus::Draining => Self::Draining,
            HealthStatus::Unchecked => Self::Unchecked,
            HealthStatus::Healthy => Self::Healthy,
        }
    }

    /// Returns its name for the status page, the JSON and the metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
        }
    }
}

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
            tier: AtomicU8::new(1),
            local: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            idle_life: IdleLife::new(Instant::now()),
            stats: PerWorker::new(workers),
            checks: CheckStats::default(),
            failures_in_a_row: AtomicU32::new(0),
            failed_connected: AtomicBool::new(false),
            sends_surplus: AtomicBool::new(false),
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
            }),
        }
    }

    /// The `Host` of its health checks: the name it was resolved from, or its address.
    #[must_use]
    pub fn authority(&self) -> Cow<'_, str> {
        if self.source.starts_with(config::SWARM) { self.address.to_string().into() } else { (&*self.source).into() }
    }

    /// Its share of the requests, relative to the weights of the others; at least 1.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    /// Its tier; see [`EndpointOptions::tier`].
    #[must_use]
    pub fn tier(&self) -> u8 {
        self.tier.load(Relaxed)
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
    }

    /// Records that an attempt got a response head, whatever its status. Only reads unless a failure precedes it.
    pub fn succeeded(&self) {
        if self.failures_in_a_row.load(Relaxed) != 0 {
            self.reset_failures();
        }
    }

    /// Records that an attempt was reset or timed out after it had a connection, and wakes the endpoint's task.
    pub fn failed(&self) {
        self.failed_connected.store(true, Relaxed);
        self.connect_failed();
    }

    /// Records that an attempt got no connection, and wakes the endpoint's task.
    pub fn connect_failed(&self) {
        // Saturate: a counter that wraps to zero would look like a success.
        let failures = self.failures_in_a_row.load(Relaxed);
        self.failures_in_a_row.store(failures.saturating_add(1), Relaxed);
        self.failure.notify_one();
    }

    /// Returns the number of failed requests since the last successful one.
    #[must_use]
    pub fn failures_in_a_row(&self) -> u32 {
        self.failures_in_a_row.load(Relaxed)
    }

    /// Whether all failed requests since the last successful one got no connection.
    #[must_use]
    pub fn was_unreachable(&self) -> bool {
        !self.failed_connected.load(Relaxed)
    }

    /// Resets the count of failed requests, when an ejection ends.
    pub fn reset_failures(&self) {
        self.failures_in_a_row.store(0, Relaxed);
        self.failed_connected.store(false, Relaxed);
    }

    /// Records that it sent bytes that belong to no request. From now on each request gets a connection of its own: on
    /// a shared one, such bytes would be read as the response to the next visitor's request.
    pub fn sent_surplus(&self) {
        if !self.sends_surplus.swap(true, Relaxed) {
            warn!(endpoint = %self.address, "endpoint sent bytes after a response: its connections are not reused");
        }
    }

    /// Whether its connections may carry more requests than the one under way.
    #[must_use]
    pub fn allows_reuse(&self) -> bool {
        !self.sends_surplus.load(Relaxed) && !self.in_maintenance.load(Relaxed)
    }

    /// Records that a response announced a drain, and wakes the endpoint's task if that is news.
    pub fn announce_drain(&self) {
        if !self.announced_drain.swap(true, Relaxed) {
            self.drain.notify_one();
        }
    }

    /// Lets the next announcement wake the endpoint's task again, because the drain has ended.
    pub(super) fn forget_drain(&self) {
        self.announced_drain.store(false, Relaxed);
    }

    /// Waits until a response announces a drain. Only one task may wait: the endpoint's on the control thread.
    pub async fn wait_for_drain(&self) {
        loop {
            self.drain.notified().await;
            // Nobody waits during maintenance, and what was announced then is forgotten when it ends.
            if self.announced_drain.load(Relaxed) {
                return;
            }
        }
    }

    /// Waits until an attempt fails. Only one task may wait: the endpoint's on the control thread.
    pub async fn wait_for_failure(&self) {
        self.failure.notified().await;
    }

    /// Records that a request has waited long for its response, and wakes the endpoint's task if that is news.
    pub fn note_overdue(&self) {
        if !self.overdue.swap(true, Relaxed) {
            self.became_overdue.notify_one();
        }
    }

    /// Whether a request has waited long for its response since the last call.
    pub fn take_overdue(&self) -> bool {
        self.overdue.swap(false, Relaxed)
    }

    /// Waits until a request has waited long for its response. Only one task may wait: the endpoint's on the control
    /// thread.
    pub async fn wait_until_overdue(&self) {
        self.became_overdue.notified().await;
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

    /// Wakes the endpoint's task after an ejection that the task did not decide itself.
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
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::upstream::health::{outlier::tests::ejection, state::tests::check};

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

    #[tokio::test(start_paused = true)]
    async fn a_drain_that_was_forgotten_wakes_nobody() {
        let endpoint = Endpoint::new(([10, 0, 0, 1], 80).into(), "s".into(), 1, SystemTime::UNIX_EPOCH);
        let announced = async || timeout(Duration::from_secs(1), endpoint.wait_for_drain()).await.is_ok();
        endpoint.announce_drain();
        endpoint.forget_drain();
        assert!(!announced().await, "it was announced during maintenance");
        endpoint.announce_drain();
        assert!(announced().await);
    }

    #[test]
    fn state_follows_from_checks_then_ejection_then_drain_unless_in_maintenance() {
        let mut unhealthy = Health::unchecked();
        unhealthy.observe(false, &check(1, 1));
        let in_use = Outlier::default();
        let mut ejected = Outlier::default();
        ejected.eject(&ejection(5, 0.5), Instant::now());
        let mut awaiting_check = ejected;
        awaiting_check.expire();
        let mut draining = Health::assumed();
        draining.drain();
        for (health, outlier, expected, ordered_to_drain) in [
            (Health::unchecked(), in_use, EndpointState::Unchecked, EndpointState::Draining),
            (Health::unchecked(), ejected, EndpointState::Ejected, EndpointState::Ejected),
            (Health::assumed(), in_use, EndpointState::Healthy, EndpointState::Draining),
            (Health::assumed(), ejected, EndpointState::Ejected, EndpointState::Ejected),
            (Health::assumed(), awaiting_check, EndpointState::Ejected, EndpointState::Ejected),
            (draining, in_use, EndpointState::Draining, EndpointState::Draining),
            (draining, ejected, EndpointState::Ejected, EndpointState::Ejected),
            (unhealthy, in_use, EndpointState::Unhealthy, EndpointState::Unhealthy),
            (unhealthy, ejected, EndpointState::Unhealthy, EndpointState::Unhealthy),
        ] {
            let state = |order| EndpointState::of(&health, &outlier, order);
            let expected = [expected, ordered_to_drain, EndpointState::Maintenance];
            assert_eq!(Order::ALL.map(state), expected, "{health:?} {outlier:?}");
        }
    }
}
