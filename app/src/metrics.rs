//! What is measured. A counter measures its store, an app its requests; `/metrics` of an app shows
//! both, also when several apps share one counter.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter as Total,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

use crate::counter::Counter;

/// The type of what [`Metrics::encode`] writes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Of one counter. Updated once per batch, not per hit.
#[derive(Clone, Debug)]
pub(crate) struct CounterMetrics {
    /// Numbers handed to a client that was still there.
    pub(crate) hits: Total,
    /// Additions that counted at least one hit.
    pub(crate) batches: Total,
    /// Hits per batch.
    pub(crate) batch_size: Histogram,
    /// Seconds from sending an addition to its answer, of those that were answered.
    pub(crate) round_trip: Histogram,
    /// 1 while the store counts, else 0.
    pub(crate) store_up: Gauge,
    /// Batches that were sent once more.
    pub(crate) repeated: Total,
    /// Times that another master was followed.
    pub(crate) switches: Total,
    /// Times that the count was found below a number that had been told.
    pub(crate) raised: Total,
    /// Replicas that had the last batch when it was told.
    pub(crate) replicas: Gauge,
    /// 1 while numbers would be less safe than was asked for, else 0.
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
            repeated: Total::default(),
            switches: Total::default(),
            raised: Total::default(),
            replicas: Gauge::default(),
            degraded: Gauge::default(),
        }
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ErrorLabels {
    reason: &'static str,
}

/// Of one app.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    errors: Family<ErrorLabels, Total>,
    waiting: Gauge<u64, AtomicU64>,
    /// Requests that were read and not answered yet.
    pub(crate) in_flight: Gauge,
}

impl Metrics {
    pub(crate) fn new(counter: &CounterMetrics) -> Self {
        let errors = Family::<ErrorLabels, Total>::default();
        let waiting = Gauge::<u64, AtomicU64>::default();
        let in_flight = Gauge::<i64>::default();
        let mut registry = Registry::with_prefix("app");
        registry.register("hits", "Hits answered with a number", counter.hits.clone());
        registry.register("errors", "Hits answered with an error, by reason", errors.clone());
        registry.register("batches", "Additions sent to the store and answered", counter.batches.clone());
        registry.register("batch_size", "Hits counted by one addition", counter.batch_size.clone());
        registry.register_with_unit(
            "store_round_trip",
            "Time from an addition to its answer",
            Unit::Seconds,
            counter.round_trip.clone(),
        );
        registry.register("waiting_hits", "Hits waiting for the next addition", waiting.clone());
        registry.register("store_up", "Whether the store counts", counter.store_up.clone());
        registry.register("batches_repeated", "Batches sent once more", counter.repeated.clone());
        registry.register("master_switches", "Times that another master was followed", counter.switches.clone());
        registry.register("count_raised", "Times that told numbers were missing", counter.raised.clone());
        registry.register("store_replicas", "Replicas that had the last batch", counter.replicas.clone());
        registry.register("store_degraded", "Whether less is safe than was asked for", counter.degraded.clone());
        registry.register("in_flight_requests", "Requests being answered", in_flight.clone());
        Self { registry, errors, waiting, in_flight }
    }

    /// Counts a hit that was answered with an error.
    pub(crate) fn error(&self, reason: &'static str) {
        self.errors.get_or_create(&ErrorLabels { reason }).inc();
    }

    /// Everything, in the text format of OpenMetrics.
    ///
    /// # Errors
    /// A metric cannot be written as text.
    pub(crate) fn encode(&self, counter: &Counter) -> Result<String, std::fmt::Error> {
        self.waiting.set(u64::try_from(counter.waiting()).unwrap_or(u64::MAX));
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
