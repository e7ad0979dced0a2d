//! The metrics of alerts.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Counters and gauges; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    notifications: Family<Sent, Counter>,
    alerts: Family<InState, Gauge>,
    heartbeats: Family<Beat, Counter>,
    log: Family<Beat, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Sent {
    channel: String,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Beat {
    outcome: Outcome,
}

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the labels' values, as they are written")]
pub(super) enum Outcome {
    sent,
    partly,
    failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

impl Metrics {
    /// Registers all metrics with `registry`.
    pub fn register(&self, registry: &mut Registry) {
        let notifications = self.notifications.clone();
        registry.register("alert_notifications", "Attempts to send a message, by channel and outcome", notifications);
        registry.register("alerts", "Alerts by state, as this instance sees them", self.alerts.clone());
        registry.register("alert_heartbeats", "Heartbeats by outcome", self.heartbeats.clone());
        registry.register("alert_ledger_uses", "Uses of the notification log by outcome", self.log.clone());
    }

    pub(super) fn notification(&self, channel: &str, outcome: Outcome) {
        self.notifications.get_or_create(&Sent { channel: channel.to_owned(), outcome }).inc();
    }

    pub(super) fn heartbeat(&self, outcome: Outcome) {
        self.heartbeats.get_or_create(&Beat { outcome }).inc();
    }

    pub(super) fn log(&self, outcome: Outcome) {
        self.log.get_or_create(&Beat { outcome }).inc();
    }

    pub(super) fn alerts(&self, state: &'static str, count: usize) {
        self.alerts.get_or_create(&InState { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
