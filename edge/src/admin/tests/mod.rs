//! The fixtures of the admin listener's tests: an edge with some traffic, and requests to its pages.

mod decisions;
mod metrics;
mod orders;
mod page;
mod readiness;
mod respond;
mod serve;
mod status;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use http::{Method, Request, Response, header::HOST};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use tokio::sync::mpsc;

use super::{AdminState, BoundListener, Status, respond::respond};
use crate::{
    config::{Config, HostMatch, Listener, Pool, Route, Source},
    error::Kind,
    io::memory::Budget,
    observe::{refusals::Refusal, stats::PerWorker},
    upstream::{
        Endpoint, EndpointState, EndpointStatus, PoolHandle, PoolSnapshot, SourceStatus, order::Order, sticky::Sessions,
    },
    worker::{heartbeat::Heartbeat, snapshot::Snapshot},
};

const WORKERS: usize = 2;

/// A fixed time in 2026.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_790_000_000)
}

fn seconds_ago(seconds: u64) -> SystemTime {
    now() - Duration::from_secs(seconds)
}

fn endpoint(last: u8, state: EndpointState, reason: &str) -> Arc<Endpoint> {
    let address = SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), 8000));
    let endpoint = Endpoint::new(address, "tasks.web:8000".into(), WORKERS, seconds_ago(4000));
    let order = Order::Ready;
    let (reason, since) = (reason.to_owned(), seconds_ago(3700));
    endpoint.set_status(EndpointStatus { state, reason, order, since, ejected_until: None });
    Arc::new(endpoint)
}

fn pool(name: &str, endpoints: &[Arc<Endpoint>], error: Option<&str>) -> Arc<PoolHandle> {
    let source = Source::Name { host: "tasks.web".to_owned(), port: 8000 };
    let handle = PoolHandle::new(Arc::new(Pool::new(name, vec![source])), WORKERS);
    let is_healthy = |one: &&Arc<Endpoint>| one.status().state == EndpointState::Healthy;
    let healthy: Vec<_> = endpoints.iter().filter(is_healthy).cloned().collect();
    handle.snapshot.store(Arc::new(PoolSnapshot {
        endpoints: endpoints.to_vec(),
        preferred: healthy.clone(),
        healthy,
        last_tier: 1,
        local: false,
        sessions: Sessions::default(),
        reserve: endpoints.to_vec(),
        draining: Vec::new(),
        uses_draining: false,
        panic: false,
        on_probation: false,
        weighted: false,
        sources: vec![SourceStatus {
            source: "tasks.web:8000".to_owned(),
            endpoints: endpoints.len(),
            error: error.map(str::to_owned),
            resolved: error.is_none().then(|| seconds_ago(2)),
        }],
    }));
    Arc::new(handle)
}

fn route(host: HostMatch, path: &str, pool: usize) -> Route {
    Route { host, path: path.to_owned(), ..Route::to(pool) }
}

fn admin(pools: Vec<Arc<PoolHandle>>, routes: Vec<Route>) -> AdminState {
    let listener = Listener::plain(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80)));
    let mut config = Config::simple(vec![listener], Pool::new("any", Vec::new()));
    config.routes = routes;
    config.pools = pools.iter().map(|pool| pool.config.clone()).collect();
    let heartbeats = Arc::new(PerWorker::<Heartbeat>::new(WORKERS));
    heartbeats.iter().for_each(|heartbeat| heartbeat.beat(seconds_ago(1)));
    AdminState {
        snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::new(
            Arc::new(config),
            pools,
            crate::filters::RuleFiles::default(),
        ))),
        workers: Arc::new(PerWorker::new(WORKERS)),
        heartbeats,
        listeners: ArcSwap::from_pointee(vec![BoundListener {
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80)),
            tls: None,
        }]),
        access_log: Arc::default(),
        memory: Arc::new(Budget::new(Some(150 << 20), WORKERS)),
        draining: Arc::default(),
        orders: mpsc::channel(1).0,
        refused_orders: Mutex::default(),
        reload: ArcSwapOption::empty(),
        started: seconds_ago(100_000),
    }
}

/// An edge with some traffic: a route to a pool of one healthy and one failing endpoint.
fn busy_edge() -> AdminState {
    let good = endpoint(1, EndpointState::Healthy, "check passed");
    let bad = endpoint(2, EndpointState::Unhealthy, "connection refused");
    let web = pool("web", &[good.clone(), bad.clone()], None);
    for (worker, requests) in [(0, 900), (1, 600)] {
        let stats = web.stats.of(worker);
        stats.requests.add(requests);
        stats.responses[1].add(requests - 3);
        stats.responses[4].add(3);
        (0..requests).for_each(|number| stats.latency.record(Duration::from_micros(300 + number * 10)));
        let one = good.stats.of(worker);
        one.requests.add(requests);
        one.connections.add(3);
        one.responses[1].add(requests);
        one.in_flight.add(2);
    }
    bad.stats.of(1).connect_failures.add(7);
    let admin = admin(vec![web], vec![route(HostMatch::Suffix("example.com".to_owned()), "/", 0)]);
    admin.workers.of(0).requests_h1.add(900);
    admin.workers.of(1).requests_h2.add(600);
    admin.workers.of(1).errors[Kind::Connect as usize].add(6);
    admin.workers.of(0).refusals[Refusal::HandshakeFailed as usize].add(1);
    admin.workers.of(1).refusals[Refusal::HandshakeFailed as usize].add(3);
    admin.workers.of(1).uncounted.add(2);
    admin.workers.of(0).bytes_out.add(12_345_678);
    admin
}

fn request(admin: &AdminState, method: Method, target: &str, host: Option<&str>) -> Response<Full<Bytes>> {
    let mut head = Request::builder().method(method).uri(target);
    if let Some(host) = host {
        head = head.header(HOST, host);
    }
    respond(&head.body(()).unwrap(), &Status::collect(admin, now()))
}

fn get(admin: &AdminState, target: &str) -> Response<Full<Bytes>> {
    request(admin, Method::GET, target, Some("127.0.0.1:9901"))
}

async fn text(response: Response<Full<Bytes>>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}
