//! Metrics for Prometheus. Values of the cluster state are read from it when they are scraped.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
};

use http::StatusCode;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
    },
    registry::Registry,
};

use crate::{
    clock,
    cluster_state::{ClusterState, NodeState, Role},
};

/// The metrics of one instance.
#[derive(Debug, Default)]
pub struct Metrics {
    responses: Family<StatusLabel, Counter>,
    refused_streams: Counter,
    streams: AtomicI64,
    engine_failures: AtomicU64,
    /// Metrics that other modules registered.
    registered: std::sync::Mutex<Registry>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

/// Counts an open stream until it is dropped.
#[derive(Debug)]
pub struct OpenStream(Arc<Metrics>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    /// Media type of the text that [`Metrics::encode`] returns.
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    pub(crate) fn count_response(&self, status: StatusCode) {
        self.responses.get_or_create(&StatusLabel { status: status.as_u16() }).inc();
    }

    pub(crate) fn count_refused_stream(&self) {
        self.refused_streams.inc();
    }

    pub(crate) fn open_stream(metrics: &Arc<Self>) -> OpenStream {
        metrics.streams.fetch_add(1, Relaxed);
        OpenStream(metrics.clone())
    }

    pub(crate) fn set_engine_failures(&self, failures: u64) {
        self.engine_failures.store(failures, Relaxed);
    }

    /// Registers the metrics of another module. Their names get the prefix `watch_`.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        let mut registered = self.registered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        register(registered.sub_registry_with_prefix("watch"));
    }

    /// Encodes all metrics, with those of `state`, in the text format of OpenMetrics.
    ///
    /// # Errors
    /// A metric cannot be encoded.
    pub fn encode(&self, state: Arc<ClusterState>) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("watch");
        registry.register("answers", "HTTP responses by status", self.responses.clone());
        registry.register(
            "streams_refused",
            "Event streams refused because of the limit",
            self.refused_streams.clone(),
        );
        registry.register("streams", "Open event streams", ConstGauge::new(self.streams.load(Relaxed)));
        let failures = ConstCounter::new(self.engine_failures.load(Relaxed));
        registry.register("engine_failures", "Failed polls of the engine", failures);
        registry.register_collector(Box::new(StateCollector(state)));
        let mut all = String::new();
        text::encode_registry(&mut all, &registry)?;
        let registered = self.registered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        text::encode_registry(&mut all, &registered)?;
        text::encode_eof(&mut all)?;
        Ok(all)
    }
}

/// Collects the metrics of a cluster state.
#[derive(Debug)]
struct StateCollector(Arc<ClusterState>);

impl Collector for StateCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let cluster = &*self.0;
        let now = clock::now();
        let mut gauge = |name: &str, help: &str, value: f64| {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        if let Some(at) = cluster.source.at {
            // Exact in a double.
            let age = u32::try_from(now.saturating_sub(at).max(0)).unwrap_or(u32::MAX);
            gauge(
                "picture_age_seconds",
                "Seconds since the engine last answered, give or take a few",
                f64::from(age) / 1000.0,
            )?;
        }
        gauge("engine_up", "Whether the engine answers", flag(cluster.source.error.is_none()))?;
        gauge("leader", "Whether this instance's node is the leader", flag(cluster.source.leader))?;
        gauge("managers", "Managers", f64::from(cluster.quorum.managers))?;
        gauge("managers_reachable", "Reachable managers", f64::from(cluster.quorum.reachable))?;
        gauge("quorum_lost", "Whether the managers have lost their quorum", flag(cluster.quorum.lost))?;
        if let Some(redis) = &cluster.redis {
            let up = redis.servers.iter().filter(|server| server.up).count();
            gauge("redis_up", "Redis servers that are up", count(up))?;
            let masters = redis.servers.iter().filter(|server| server.up && server.role == Role::Master);
            gauge("redis_masters", "Redis servers that are up and masters", count(masters.count()))?;
            gauge("sentinels_up", "Sentinels that answer", f64::from(redis.sentinels_up))?;
        }
        if !cluster.edges.is_empty() {
            gauge("edges", "Known edges", count(cluster.edges.len()))?;
            let ready = cluster.edges.values().filter(|edge| edge.ready).count();
            gauge("edges_ready", "Edges that are ready", count(ready))?;
            let panics = cluster.edges.values().flat_map(|edge| &edge.pools).filter(|pool| pool.panic).count();
            gauge("edge_pools_in_panic", "Pools of edges in panic mode", count(panics))?;
        }
        let nodes = [
            ("ready", NodeState::Ready),
            ("down", NodeState::Down),
            ("disconnected", NodeState::Disconnected),
            ("unknown", NodeState::Unknown),
        ];
        let nodes = nodes.map(|(name, state)| {
            let nodes = cluster.nodes.values().filter(|node| node.state == state).count();
            ([("state", name.to_owned())], count(nodes))
        });
        labelled(&mut encoder, "nodes", "Nodes by state", nodes)?;
        let services = || cluster.services.values();
        let running = services().map(|service| ([("service", service.name.clone())], f64::from(service.running)));
        labelled(&mut encoder, "service_tasks_running", "Running tasks", running)?;
        let desired = services().map(|service| ([("service", service.name.clone())], f64::from(service.desired)));
        labelled(&mut encoder, "service_tasks_desired", "Desired tasks", desired)
    }
}

fn labelled(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = ([(&'static str, String); 1], f64)>,
) -> Result<(), std::fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
