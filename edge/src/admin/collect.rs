//! Collects a [`Status`]: reads every counter once.

use std::{
    collections::BTreeSet,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    decisions::{self, DecisionReport},
    latency::Histogram,
    mesh::{MeshView, NodeView},
    state::{AdminState, BoundListener, Reload},
    status::{
        AccessLogStatus, CertificateStatus, EndpointReport, ErrorCount, FlipReport, LatencyStatus, ListenerStatus,
        MemoryStatus, PoolStatus, RefusalCount, ReloadStatus, Responses, RouteStatus, SourceReport, Status,
        WorkerStatus,
    },
};
use crate::{
    config::{self, BACKUP, HostMatch, Route, value},
    downstream::tls::CertificateInfo,
    error::{Kind, Side},
    observe::{
        decisions::Decision,
        refusals::Refusal,
        stats::{Counter, EndpointStats, PerWorker, PoolStats, WorkerStats},
    },
    proxy::respond::LocalReply,
    upstream::{
        Endpoint, EndpointState, Flip, PoolHandle, PoolSnapshot, SourceStats, SourceStatus, WEIGHT_UNIT,
        mesh::report::MeshStatus,
    },
    worker::snapshot::Snapshot,
};

/// A worker is stuck if its last heartbeat is longer ago than this. A worker that runs records one every second.
const STUCK_AFTER: Duration = Duration::from_secs(10);

impl Status {
    /// Reads every counter once.
    #[must_use]
    pub fn collect(admin: &AdminState, now: SystemTime) -> Self {
        let snapshot = admin.snapshot.load_full();
        let draining = admin.draining.load(Relaxed);
        let pools = pools(&snapshot);
        let uptime = now.duration_since(admin.started).unwrap_or_default();
        let silences = admin.heartbeats.iter().map(|heartbeat| heartbeat.age(now).unwrap_or(uptime));
        let mut workers: Vec<_> = admin
            .workers
            .iter()
            .zip(silences)
            .enumerate()
            .map(|(worker, (stats, silence))| WorkerStatus::new(worker, stats, silence))
            .collect();
        // During a drain a worker ends with its last connection and records no further heartbeat.
        workers.iter_mut().for_each(|worker| worker.stuck &= !draining);

        let stuck: Vec<_> = workers.iter().filter(|worker| worker.stuck).map(WorkerStatus::problem).collect();
        let unready: Vec<_> = draining
            .then(|| "draining: open requests may finish, then the edge exits".to_owned())
            .into_iter()
            .chain(pools.iter().filter(|pool| pool.routed && pool.usable == 0).map(PoolStatus::problem))
            .collect();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            now,
            started: admin.started,
            alive: stuck.is_empty(),
            ready: unready.is_empty(),
            reasons: unready.into_iter().chain(stuck).collect(),
            draining,
            reload: admin.reload.load().as_deref().map(ReloadStatus::new),
            listeners: admin.listeners.load().iter().map(|bound| ListenerStatus::new(bound, now)).collect(),
            routes: snapshot.config.routes.iter().map(|route| RouteStatus::new(route, &snapshot)).collect(),
            decisions: DecisionReport::newest(&snapshot.pools),
            pools,
            workers,
            errors: Kind::ALL
                .into_iter()
                .map(|kind| ErrorCount {
                    kind: kind.label(),
                    count: admin.workers.sum(|worker| worker.errors[kind as usize].value()),
                })
                .chain([ErrorCount {
                    kind: LocalReply::MaxForwards.label(),
                    count: admin.workers.sum(|worker| worker.max_forwards.value()),
                }])
                .collect(),
            refusals: Refusal::ALL
                .into_iter()
                .map(|reason| RefusalCount {
                    reason: reason.label(),
                    count: admin.workers.sum(|worker| worker.refusals[reason as usize].value()),
                })
                .collect(),
            memory: MemoryStatus { used_bytes: admin.memory.used(), limit_bytes: admin.memory.limit() },
            access_log: AccessLogStatus {
                written: admin.access_log.written.value(),
                lost: admin.access_log.lost.value(),
                errors: admin.access_log.errors.value(),
                dropped: admin.workers.sum(|worker| worker.log_dropped.value()),
            },
        }
    }
}

impl ReloadStatus {
    fn new(reload: &Reload) -> Self {
        Self { at: reload.at, error: reload.error.clone() }
    }
}

impl ListenerStatus {
    fn new(bound: &BoundListener, now: SystemTime) -> Self {
        let certificates =
            |infos: Vec<CertificateInfo>| infos.into_iter().map(|info| CertificateStatus::new(info, now)).collect();
        Self { address: bound.address, certificates: bound.tls.as_ref().map(|tls| certificates(tls.certificates())) }
    }
}

impl CertificateStatus {
    fn new(info: CertificateInfo, now: SystemTime) -> Self {
        let warning = info.warning(now).map(str::to_owned);
        Self {
            file: info.file.map(|file| file.display().to_string()),
            names: info.names,
            not_after: info.not_after,
            warning: info.problem.map(|problem| format!("not reloaded: {problem}")).or(warning),
        }
    }
}

impl RouteStatus {
    fn new(route: &Route, snapshot: &Snapshot) -> Self {
        Self {
            host: match &route.host {
                HostMatch::Any => "*".to_owned(),
                HostMatch::Exact(host) => host.clone(),
                HostMatch::Suffix(host) => format!("*.{host}"),
            },
            path: route.path.clone(),
            pool: match snapshot.pools.get(route.pool) {
                Some(pool) if !route.answers_everything() => pool.config.name.clone(),
                _ => String::new(),
            },
            max_body_bytes: route.max_body,
            rules: route.rules.as_ref().map(|rules| rules.names()).unwrap_or_default(),
        }
    }
}

fn pools(snapshot: &Snapshot) -> Vec<PoolStatus> {
    let routed = |index| snapshot.config.routes.iter().any(|route| route.pool == index);
    snapshot.pools.iter().enumerate().map(|(index, pool)| PoolStatus::new(pool, routed(index))).collect()
}

impl PoolStatus {
    fn new(handle: &PoolHandle, routed: bool) -> Self {
        let snapshot = handle.snapshot.load_full();
        let histogram = Histogram::of(&handle.stats);
        let mesh = handle.mesh.load_full();
        let count = |number: fn(&PoolStats) -> &Counter| handle.stats.sum(|stats| number(stats).value());
        Self {
            name: handle.config.name.clone(),
            balance: value::balance_name(handle.config.balance),
            routed,
            panic: snapshot.panic,
            uses_draining: snapshot.uses_draining,
            usable: snapshot.usable().len(),
            tiers_in_use: tiers_in_use(&snapshot),
            zone: handle.config.zone.clone(),
            zone_in_use: handle.config.zone.clone().filter(|_| snapshot.local && !snapshot.panic),
            requests: count(|stats| &stats.requests),
            responses: Responses::sum(&handle.stats, |stats| &stats.responses),
            retries: count(|stats| &stats.retries),
            retry_reasons: retry_reasons(handle),
            sessions_moved: handle.decided(Decision::SessionMoved),
            over_budget: count(|stats| &stats.over_budget),
            hedges: count(|stats| &stats.hedges),
            hedges_won: count(|stats| &stats.hedges_won),
            no_endpoint: count(|stats| &stats.no_endpoint),
            queue_length: handle.queue.length(),
            queued: count(|stats| &stats.queued),
            queue_timeouts: count(|stats| &stats.queue_timeouts),
            queue_overflows: count(|stats| &stats.queue_overflows),
            panics: handle.panics.value(),
            decision_counts: decisions::counts(handle),
            mesh: mesh.as_ref().map(|mesh| MeshView::new(handle, mesh)),
            latency: LatencyStatus {
                p50_ms: histogram.quantile_ms(0.5),
                p99_ms: histogram.quantile_ms(0.99),
                histogram,
            },
            sources: handle
                .sources
                .iter()
                .zip(&snapshot.sources)
                .map(|(stats, source)| SourceReport::new(source, stats))
                .collect(),
            endpoints: snapshot
                .endpoints
                .iter()
                .map(|endpoint| EndpointReport::new(endpoint, &snapshot, &handle.config, mesh.as_deref()))
                .collect(),
        }
    }

    /// Why the pool cannot serve requests.
    fn problem(&self) -> String {
        let known = self.endpoints.len();
        match self.sources.iter().find_map(|source| source.error.as_ref().map(|error| (&source.source, error))) {
            Some((source, error)) if known == 0 => format!("pool {}: no endpoints, {source}: {error}", self.name),
            _ if known == 0 => format!("pool {}: no endpoints", self.name),
            _ if self.endpoints.iter().all(|endpoint| endpoint.state == EndpointState::Maintenance.label()) => {
                format!("pool {}: all of {known} endpoints are in maintenance", self.name)
            }
            _ => format!("pool {}: none of {known} endpoints is usable", self.name),
        }
    }
}

impl SourceReport {
    fn new(source: &SourceStatus, stats: &SourceStats) -> Self {
        Self {
            source: source.source.clone(),
            endpoints: source.endpoints,
            resolved: source.resolved,
            error: source.error.clone(),
            questions: stats.questions.value(),
            failures: stats.failures.value(),
        }
    }
}

impl EndpointReport {
    fn new(endpoint: &Endpoint, pool: &PoolSnapshot, config: &config::Pool, mesh: Option<&MeshStatus>) -> Self {
        let status = endpoint.status();
        let count = |number: fn(&EndpointStats) -> &Counter| endpoint.stats.sum(|stats| number(stats).value());
        let (requests, connections) = (count(|stats| &stats.requests), count(|stats| &stats.connections));
        Self {
            address: endpoint.address,
            source: endpoint.source.to_string(),
            state: status.state.label(),
            tier: Some(endpoint.tier()).filter(|tier| *tier != BACKUP),
            backup: endpoint.tier() == BACKUP,
            zone: endpoint.zone(),
            order: status.order.label(),
            usable: pool.usable().iter().any(|usable| usable.id == endpoint.id),
            suspect: suspect(endpoint, config),
            reason: status.reason,
            since: status.since,
            ejected_until: status.ejected_until,
            flips: endpoint.checks.flips.value(),
            states_before: endpoint.flips().into_iter().map(FlipReport::new).collect(),
            mesh: mesh.map(|mesh| node(mesh, endpoint.id)),
            in_flight: count(|stats| &stats.in_flight),
            requests,
            responses: Responses::sum(&endpoint.stats, |stats| &stats.responses),
            connect_failures: count(|stats| &stats.connect_failures),
            resets: count(|stats| &stats.resets),
            timeouts: count(|stats| &stats.timeouts),
            connections_open: endpoint.connections.load(Relaxed) as u64,
            connections,
            reuse: (requests > 0).then(|| requests.saturating_sub(connections) as f64 / requests as f64),
            // Behind a mesh, those on open connections as well.
            checks: endpoint.checks.done.value() + count(|stats| &stats.asks) + count(|stats| &stats.ask_failures),
            checks_failed: endpoint.checks.failed.value() + count(|stats| &stats.ask_failures),
            ejections: endpoint.checks.ejections.value(),
            trials_passed: endpoint.checks.trials_passed.value(),
            trials_failed: endpoint.checks.trials_failed.value(),
            weight: f64::from(endpoint.current_weight()) / f64::from(WEIGHT_UNIT),
            slow_starts: endpoint.checks.slow_starts.value(),
            announced_drains: endpoint.checks.announced_drains.value(),
            ordered_drains: endpoint.checks.ordered_drains.value(),
        }
    }
}

impl FlipReport {
    fn new(Flip { state, reason, since }: Flip) -> Self {
        Self { state: state.label(), reason, since }
    }
}

/// Why requests that cannot be sent again avoid an endpoint, if others can take them.
fn suspect(endpoint: &Endpoint, config: &config::Pool) -> Option<&'static str> {
    let evidence = || endpoint.suspicion.evidence(Instant::now(), config.suspicion);
    config.suspects().then(evidence).flatten().map(|evidence| evidence.what.label())
}

/// The connections to a node; none if no worker has reported any.
fn node(mesh: &MeshStatus, id: u64) -> NodeView {
    let node = mesh.nodes.iter().find(|node| node.node == id);
    NodeView::new(&node.copied().unwrap_or_default())
}

/// The tiers of the endpoints that a first attempt picks from.
fn tiers_in_use(snapshot: &PoolSnapshot) -> Vec<String> {
    let tiers: BTreeSet<_> = snapshot.usable().iter().map(|endpoint| endpoint.tier()).collect();
    tiers.into_iter().map(|tier| if tier == BACKUP { "backup".to_owned() } else { tier.to_string() }).collect()
}

fn retry_reasons(pool: &PoolHandle) -> Vec<(&'static str, u64)> {
    let count = |kind: Kind| pool.stats.sum(|stats| stats.retry_reasons.get(kind as usize).map_or(0, Counter::value));
    let counts = Kind::ALL.into_iter().map(|kind| (kind, count(kind)));
    let shown = counts.filter(|(kind, count)| *count > 0 || kind.side() == Side::Upstream);
    shown.map(|(kind, count)| (kind.label(), count)).collect()
}

impl Responses {
    fn sum<T>(stats: &PerWorker<T>, responses: impl Fn(&T) -> &[Counter; 5]) -> Self {
        let [informational, success, redirection, client_error, server_error] =
            std::array::from_fn(|class| stats.sum(|copy| responses(copy)[class].value()));
        Self { informational, success, redirection, client_error, server_error }
    }
}

impl WorkerStatus {
    fn new(worker: usize, stats: &WorkerStats, silence: Duration) -> Self {
        Self {
            worker,
            silent_seconds: silence.as_secs_f64(),
            stuck: silence > STUCK_AFTER,
            accepted: stats.accepted.value(),
            refused: stats.refused.value(),
            uncounted: stats.uncounted.value(),
            shed: stats.shed.value(),
            accept_errors: stats.accept_errors.value(),
            open: stats.open.value(),
            handshakes: stats.handshakes.value(),
            handshake_failures: stats.handshake_failures.value(),
            requests_h1: stats.requests_h1.value(),
            requests_h2: stats.requests_h2.value(),
            bad_heads: stats.bad_heads.value(),
            tunnels: stats.tunnels.value(),
            bytes_in: stats.bytes_in.value(),
            bytes_out: stats.bytes_out.value(),
            log_dropped: stats.log_dropped.value(),
        }
    }

    fn problem(&self) -> String {
        format!("worker {} is stuck: no heartbeat for {:.0} s", self.worker, self.silent_seconds)
    }
}
