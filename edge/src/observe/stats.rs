//! Counters that cost a request next to nothing.
//!
//! Each worker writes only its own copy, so an increment is a load and a store on a cache line that
//! no other core writes: no lock prefix, no contention. Readers (the admin listener) sum the copies;
//! a sum read while workers run may mix moments, but no copy ever goes back.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crossbeam_utils::CachePadded;

/// One `T` for each worker, apart by at least a cache line.
#[derive(Debug)]
pub struct PerWorker<T>(Box<[CachePadded<T>]>);

impl<T: Default> PerWorker<T> {
    /// Makes a copy for each of `workers`.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| CachePadded::default()).collect())
    }
}

impl<T> PerWorker<T> {
    /// The copy that belongs to one worker; workers beyond the last share by turns.
    #[must_use]
    pub fn of(&self, worker: usize) -> &T {
        &self.0[worker % self.0.len()]
    }

    /// All copies, for reading.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|padded| &**padded)
    }

    /// The sum of one number over all copies.
    pub fn sum(&self, number: impl Fn(&T) -> u64) -> u64 {
        self.iter().map(number).fold(0, u64::wrapping_add)
    }
}

/// A number that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. To be called by the owning worker only: two writers would lose counts.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Takes `n` off again, for gauges. As [`add`](Self::add), the owner's alone.
    pub fn sub(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// The present value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Upper bounds of the latency buckets in microseconds; one more bucket takes what is above.
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
    pub fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].add(1);
        self.sum_us.add(us);
    }

    /// How many fell into bucket `index` (not cumulative).
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

/// What one worker counts about one endpoint.
#[derive(Debug, Default)]
pub struct EndpointStats {
    /// Attempts under way: a gauge.
    pub in_flight: Counter,
    /// Attempts sent, retries included.
    pub requests: Counter,
    /// Response heads by class, 1xx (101 only) to 5xx.
    pub responses: [Counter; 5],
    /// Attempts that failed before a connection stood.
    pub connect_failures: Counter,
    /// Attempts that failed after it: closed, reset or not HTTP.
    pub resets: Counter,
    /// Attempts without a response head in time.
    pub timeouts: Counter,
    /// Connections opened; with `requests` it tells how well connections are reused.
    pub connections: Counter,
}

/// What one worker counts about one pool.
#[derive(Debug, Default)]
pub struct PoolStats {
    /// Requests routed here.
    pub requests: Counter,
    /// Answers sent to clients by class, 1xx (101 only) to 5xx, the edge's own errors included.
    pub responses: [Counter; 5],
    /// Attempts beyond a request's first.
    pub retries: Counter,
    /// Requests that found no endpoint to go to.
    pub no_endpoint: Counter,
    /// From the request head being read to the response head being at hand.
    pub latency: Latency,
}

/// What one worker counts about clients.
#[derive(Debug, Default)]
pub struct WorkerStats {
    /// Connections accepted.
    pub accepted: Counter,
    /// Connections closed at once because of `limits.max_connections`.
    pub refused: Counter,
    /// Failed `accept` calls (out of file descriptors, for one).
    pub accept_errors: Counter,
    /// Open connections: a gauge.
    pub open: Counter,
    /// TLS handshakes that succeeded.
    pub handshakes: Counter,
    /// TLS handshakes that failed or took too long.
    pub handshake_failures: Counter,
    /// Requests over HTTP/1.
    pub requests_h1: Counter,
    /// Requests over HTTP/2.
    pub requests_h2: Counter,
    /// Requests that failed, indexed by `kind as usize` of [`crate::error::Kind`].
    pub errors: [Counter; crate::error::Kind::COUNT],
    /// `OPTIONS` requests with `Max-Forwards: 0`, which the edge answered itself.
    pub max_forwards: Counter,
    /// Connections ended by something that is not HTTP, or by a head that is too large.
    pub bad_heads: Counter,
    /// Upgraded connections under way: a gauge.
    pub tunnels: Counter,
    /// Bytes read from clients, TLS taken off.
    pub bytes_in: Counter,
    /// Bytes written to clients, before TLS.
    pub bytes_out: Counter,
    /// Access log lines dropped because the writer did not keep up.
    pub log_dropped: Counter,
}

/// Index into the five response classes for a status.
#[must_use]
pub fn class(status: u16) -> usize {
    usize::from(status / 100).saturating_sub(1).min(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_on_a_bound_falls_into_the_bucket_of_that_bound() {
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
            assert_eq!(class(status), index, "{status}");
        }
    }
}
