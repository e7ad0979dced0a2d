//! What `/metrics` shows: the counter's measurements of its store, and the app's of its requests. Several apps
//! may share one counter; each shows all of it.

use std::sync::atomic::AtomicU64;

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter as Total, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use crate::counter::metrics::CounterMetrics;

/// The content type of what [`Metrics::encode`] writes.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ErrorLabels {
    reason: &'static str,
}

/// The metrics of one app.
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
        registry.register(
            "store_slow",
            "Whether the store takes a quarter of a visit's deadline, or longer",
            counter.slow.clone(),
        );
        registry.register("batches_repeated", "Batches sent again", counter.repeated.clone());
        registry.register("master_switches", "Switches to a new master", counter.switches.clone());
        registry.register("count_raised", "Times the count was below a returned number", counter.raised.clone());
        registry.register("store_replicas", "Replicas that acknowledged the last batch", counter.replicas.clone());
        registry.register(
            "store_degraded",
            "Whether numbers are less durable than configured",
            counter.degraded.clone(),
        );
        registry.register("in_flight_requests", "Requests being answered", in_flight.clone());
        Self { registry, errors, waiting, in_flight }
    }

    /// Counts a hit that was answered with an error.
    pub(crate) fn error(&self, reason: &'static str) {
        self.errors.get_or_create(&ErrorLabels { reason }).inc();
    }

    /// All metrics in the OpenMetrics text format. `waiting` is the number of hits that wait now.
    ///
    /// # Errors
    /// A metric cannot be written as text.
    pub(crate) fn encode(&self, waiting: usize) -> Result<String, std::fmt::Error> {
        self.waiting.set(u64::try_from(waiting).unwrap_or(u64::MAX));
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
