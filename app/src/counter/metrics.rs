//! What one counter measures of its store.

use prometheus_client::metrics::{
    counter::Counter as Total,
    gauge::Gauge,
    histogram::{Histogram, exponential_buckets},
};

/// The metrics of one counter. Updated once per batch, not per hit.
#[derive(Clone, Debug)]
pub(crate) struct CounterMetrics {
    /// Numbers returned to clients that were still connected.
    pub(crate) hits: Total,
    /// Additions that counted at least one hit.
    pub(crate) batches: Total,
    /// Hits per batch.
    pub(crate) batch_size: Histogram,
    /// Seconds from sending an addition to its answer, for additions that were answered.
    pub(crate) round_trip: Histogram,
    /// 1 while the store counts, else 0.
    pub(crate) store_up: Gauge,
    /// 1 while the store takes long to count, else 0.
    pub(crate) slow: Gauge,
    /// Batches that were sent again.
    pub(crate) repeated: Total,
    /// How often the counter followed a new master.
    pub(crate) switches: Total,
    /// How often the count was below a number that had been returned, and was raised to it.
    pub(crate) raised: Total,
    /// The number of replicas that had acknowledged the last batch when its numbers were returned.
    pub(crate) replicas: Gauge,
    /// 1 while numbers are, or would be, less durable than configured, else 0.
    pub(crate) degraded: Gauge,
}

impl Default for CounterMetrics {
    fn default() -> Self {
        Self {
            hits: Total::default(),
            batches: Total::default(),
            // 1 to 4096 hits.
            batch_size: Histogram::new(exponential_buckets(1.0, 2.0, 13)),
            // 50 us to 3.3 s.
            round_trip: Histogram::new(exponential_buckets(0.000_05, 2.0, 17)),
            store_up: Gauge::default(),
            slow: Gauge::default(),
            repeated: Total::default(),
            switches: Total::default(),
            raised: Total::default(),
            replicas: Gauge::default(),
            degraded: Gauge::default(),
        }
    }
}
