//! Counters that are almost free on the path of a request.
//!
//! Each worker writes only its own copy, so an increment is a load and a store on a cache line that no other core
//! writes, without a lock prefix and without contention. The admin listener sums the copies. While workers run, a sum
//! may mix values of slightly different times, but no copy of a count ever decreases.

use std::time::Duration;

use crossbeam_utils::CachePadded;

pub use super::counter::Counter;
use super::{
    decisions::{Decision, DecisionCounters},
    peak_ewma::PeakEwma,
    refusals::Refusal,
    silence::Silence,
};
use crate::error::Kind;

/// One `T` for each worker, each in cache lines of its own.
#[derive(Debug)]
pub struct PerWorker<T>(Box<[CachePadded<T>]>);

impl<T: Default> PerWorker<T> {
    /// Creates a copy for each of `workers`.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| CachePadded::default()).collect())
    }
}

impl<T> PerWorker<T> {
    /// The copy of one worker. Indices beyond the last worker wrap around.
    #[must_use]
    pub fn of(&self, worker: usize) -> &T {
        &self.0[worker % self.0.len()]
    }

    /// Iterates over all copies, for reading.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &**padded)
    }

    /// Returns the sum of one number over all copies.
    pub fn sum(&self, number: impl Fn(&T) -> u64) -> u64 {
        self.iter().map(number).fold(0, u64::wrapping_add)
    }
}

/// The inclusive upper bounds of the latency buckets in microseconds. One more bucket holds longer durations.
pub const LATENCY_BOUNDS_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// A histogram of durations with the fixed bounds of [`LATENCY_BOUNDS_US`].
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [Counter; LATENCY_BOUNDS_US.len() + 1],
    sum_us: Counter,
}

impl Latency {
    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].add(1);
        self.sum_us.add(us);
    }

    /// The number of durations in bucket `index`, not cumulative.
    #[must_use]
    pub fn bucket(&self, index: usize) -> u64 {
        self.buckets.get(index).map_or(0, Counter::value)
    }

    /// The sum of all durations in microseconds.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us.value()
    }
}

/// The counters of one worker for one endpoint.
#[derive(Debug, Default)]
pub struct EndpointStats {
    /// Attempts in flight: a gauge.
    pub in_flight: Counter,
    /// Attempts, including retries.
    pub requests: Counter,
    /// Responses by class, from 1xx (only 101) to 5xx.
    pub responses: [Counter; 5],
    /// Responses that show that the endpoint failed: 5xx but for 501 and 505.
    pub server_errors: Counter,
    /// Attempts that could not connect.
    pub connect_failures: Counter,
    /// Attempts that failed after connecting: closed, reset or not HTTP.
    pub resets: Counter,
    /// Attempts that timed out before the head of the response.
    pub timeouts: Counter,
    /// How long it takes to respond; only kept where the pool's balancing uses it.
    pub latency: PeakEwma,
    /// How long it has given no answer.
    pub silence: Silence,
    /// Behind a mesh: answers to the health path on open connections.
    pub asks: Counter,
    /// Behind a mesh: connections closed because they did not answer.
    pub ask_failures: Counter,
    /// Opened connections. Compared with `requests`, they show how many attempts reused one.
    pub connections: Counter,
}

/// The counters of one worker for one pool.
#[derive(Debug, Default)]
pub struct PoolStats {
    /// Requests routed to the pool.
    pub requests: Counter,
    /// Responses sent to clients by class, from 1xx (only 101) to 5xx, including the edge's own errors.
    pub responses: [Counter; 5],
    /// Attempts after the first one of a request.
    pub retries: Counter,
    /// The same by why the attempt before failed, indexed by `kind as usize` of [`Kind`].
    pub retry_reasons: [Counter; Kind::COUNT],
    /// Decisions that have no counter of their own here.
    pub decisions: DecisionCounters,
    /// Requests that were not sent again, because the budget of retries was used up.
    pub over_budget: Counter,
    /// Requests that were sent to a second endpoint, because the first one was slow.
    pub hedges: Counter,
    /// Those of them to which the second endpoint responded first.
    pub hedges_won: Counter,
    /// Requests for which there was no endpoint.
    pub no_endpoint: Counter,
    /// Requests that waited for a connection, because every usable endpoint had as many as allowed.
    pub queued: Counter,
    /// Requests that waited for a connection for too long.
    pub queue_timeouts: Counter,
    /// Requests that could not wait for a connection, because too many waited.
    pub queue_overflows: Counter,
    /// The time from reading the head of a request to having the head of the response.
    pub latency: Latency,
}

impl PoolStats {
    /// How often the worker took a decision.
    #[must_use]
    pub fn decided(&self, decision: Decision) -> u64 {
        match decision {
            Decision::Retried => self.retries.value(),
            Decision::OverBudget => self.over_budget.value(),
            Decision::Hedged => self.hedges.value(),
            Decision::HedgeWon => self.hedges_won.value(),
            Decision::NoEndpoint => self.no_endpoint.value(),
            Decision::Queued => self.queued.value(),
            Decision::QueueTimedOut => self.queue_timeouts.value(),
            Decision::QueueOverflowed => self.queue_overflows.value(),
            _ => self.decisions.count(decision),
        }
    }
}

/// The counters of one worker for clients.
#[derive(Debug, Default)]
pub struct WorkerStats {
    /// Accepted connections.
    pub accepted: Counter,
    /// Connections closed at once because of `limits.max_connections` or `limits.memory`.
    pub refused: Counter,
    /// Refused connections, handshakes and heads, indexed by `reason as usize` of [`Refusal`].
    pub refusals: [Counter; Refusal::COUNT],
    /// Connections, handshakes and requests not counted for their client, because too many clients are counted.
    pub uncounted: Counter,
    /// Open connections closed because of `limits.memory`.
    pub shed: Counter,
    /// Failed `accept` calls, for example for lack of file descriptors.
    pub accept_errors: Counter,
    /// Open connections: a gauge.
    pub open: Counter,
    /// Successful TLS handshakes.
    pub handshakes: Counter,
    /// TLS handshakes that failed or took too long.
    pub handshake_failures: Counter,
    /// Requests over HTTP/1.
    pub requests_h1: Counter,
    /// Requests over HTTP/2.
    pub requests_h2: Counter,
    /// Failed requests, indexed by `kind as usize` of [`Kind`].
    pub errors: [Counter; Kind::COUNT],
    /// `OPTIONS` requests with `Max-Forwards: 0`, to which the edge replied itself.
    pub max_forwards: Counter,
    /// Connections closed because the client sent something that is not HTTP, or a head that is too large.
    pub bad_heads: Counter,
    /// Open tunnels, which are upgraded connections: a gauge.
    pub tunnels: Counter,
    /// Bytes received from clients, without the overhead of TLS.
    pub bytes_in: Counter,
    /// Bytes sent to clients, without the overhead of TLS.
    pub bytes_out: Counter,
    /// Access log records dropped because the writer did not keep up.
    pub log_dropped: Counter,
}

/// The index of the class of a status, 0 for 1xx to 4 for 5xx.
#[must_use]
pub fn status_class(status: u16) -> usize {
    usize::from(status / 100).saturating_sub(1).min(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_equal_to_a_bound_counts_in_the_bucket_of_that_bound() {
        let latency = Latency::default();
        latency.record(Duration::from_micros(100));
        latency.record(Duration::from_micros(101));
        latency.record(Duration::from_secs(3600));
        assert_eq!((latency.bucket(0), latency.bucket(1)), (1, 1));
        assert_eq!(latency.bucket(LATENCY_BOUNDS_US.len()), 1);
        assert_eq!(latency.sum_us(), 201 + 3_600_000_000);
    }

    #[test]
    fn every_status_has_a_class() {
        for (status, index) in [(100, 0), (101, 0), (200, 1), (404, 3), (599, 4), (999, 4)] {
            assert_eq!(status_class(status), index, "{status}");
        }
    }
}
