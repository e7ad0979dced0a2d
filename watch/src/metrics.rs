//! What is measured, for Prometheus. What is in the cluster state is read from it when somebody asks.

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
    cluster_state::{ClusterState, NodeState, Role},
    engine,
    hub::Feed,
};

/// Of one instance.
#[derive(Debug, Default)]
pub struct Metrics {
    answers: Family<StatusLabel, Counter>,
    turned_away: Counter,
    streams: AtomicI64,
    engine_failures: AtomicU64,
    /// Of other parts, each with its own names.
    others: std::sync::Mutex<Registry>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StatusLabel {
    status: u16,
}

/// One more of something until it is dropped.
#[derive(Debug)]
pub struct Gauged(Arc<Metrics>);

impl Drop for Gauged {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    /// The type of what [`Metrics::encode`] writes.
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    pub(crate) fn answered(&self, status: StatusCode) {
        self.answers.get_or_create(&StatusLabel { status: status.as_u16() }).inc();
    }

    pub(crate) fn turn_away(metrics: &Arc<Self>) {
        metrics.turned_away.inc();
    }

    pub(crate) fn streaming(metrics: &Arc<Self>) -> Gauged {
        metrics.streams.fetch_add(1, Relaxed);
        Gauged(metrics.clone())
    }

    pub(crate) fn engine_failures(&self, failures: u64) {
        self.engine_failures.store(failures, Relaxed);
    }

    /// Has another part of the program register what it measures. Names get `watch_` in front.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        let mut others = self.others.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        register(others.sub_registry_with_prefix("watch"));
    }

    /// Everything, in the text format of OpenMetrics.
    ///
    /// # Errors
    /// A metric cannot be written as text.
    pub fn encode(&self, feed: &Feed) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("watch");
        registry.register("answers", "HTTP requests answered, by status", self.answers.clone());
        registry.register("streams_refused", "Streams of events refused: too many", self.turned_away.clone());
        registry.register("streams", "Streams of events under way", ConstGauge::new(self.streams.load(Relaxed)));
        let failures = ConstCounter::new(self.engine_failures.load(Relaxed));
        registry.register("engine_failures", "Questions to the engine that failed", failures);
        registry.register_collector(Box::new(Shown(feed.now().state.clone())));
        let mut all = String::new();
        text::encode_registry(&mut all, &registry)?;
        let others = self.others.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        text::encode_registry(&mut all, &others)?;
        text::encode_eof(&mut all)?;
        Ok(all)
    }
}

/// What a cluster state shows.
#[derive(Debug)]
struct Shown(Arc<ClusterState>);

impl Collector for Shown {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let cluster = &*self.0;
        let now = engine::now();
        let mut one = |name: &str, help: &str, value: f64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        if let Some(at) = cluster.source.at {
            // Milliseconds in a double: exact for longer than anybody runs this.
            let age = u32::try_from(now.saturating_sub(at).max(0)).unwrap_or(u32::MAX);
            one("picture_age_seconds", "Since the engine answered, to some seconds", f64::from(age) / 1000.0)?;
        }
        one("engine_up", "Whether the engine answers", truth(cluster.source.error.is_none()))?;
        one("leader", "Whether this instance's node leads", truth(cluster.source.leader))?;
        one("managers", "Managers", f64::from(cluster.quorum.managers))?;
        one("managers_reachable", "Managers that are reachable", f64::from(cluster.quorum.reachable))?;
        one("quorum_lost", "Whether the managers can decide nothing", truth(cluster.quorum.lost))?;
        if let Some(redis) = &cluster.redis {
            let up = redis.servers.iter().filter(|server| server.up).count();
            one("redis_up", "Redis servers that are up", count(up))?;
            let masters = redis.servers.iter().filter(|server| server.up && server.role == Role::Master);
            one("redis_masters", "Redis servers that are up and master", count(masters.count()))?;
            one("sentinels_up", "Sentinels that answer", f64::from(redis.sentinels_up))?;
        }
        if !cluster.edges.is_empty() {
            one("edges", "Edges that are known", count(cluster.edges.len()))?;
            let ready = cluster.edges.values().filter(|edge| edge.ready).count();
            one("edges_ready", "Edges that serve", count(ready))?;
            let panics = cluster.edges.values().flat_map(|edge| &edge.pools).filter(|pool| pool.panic).count();
            one("edge_pools_in_panic", "Pools of edges with too few healthy endpoints", count(panics))?;
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
        labelled(&mut encoder, "service_tasks_running", "Tasks that run", running)?;
        let desired = services().map(|service| ([("service", service.name.clone())], f64::from(service.desired)));
        labelled(&mut encoder, "service_tasks_desired", "Tasks that should run", desired)
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

fn truth(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
