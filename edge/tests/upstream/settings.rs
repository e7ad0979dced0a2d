//! Configurations with short intervals, and helpers to run tests and to wait.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use edge::config::{
    AccessLog, Config, Dns, Ejection, Expect, HealthCheck, Interval, Limits, Pool, Source, Swarm, Timeouts,
};
use tokio::runtime::LocalRuntime;

/// The time limit of every wait. It is generous, because a wait ends as soon as its condition holds.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Runs a test on a runtime like that of the edge's control thread.
pub(crate) fn on_control_thread(test: impl Future<Output = ()>) {
    LocalRuntime::new().unwrap().block_on(test);
}

/// Waits until `condition` holds.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let poll = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, poll).await.is_ok(), "{what}: not within {DEADLINE:?}");
}

pub(crate) fn check() -> HealthCheck {
    HealthCheck {
        path: Some("/health".parse().unwrap()),
        expect: Expect::Statuses(vec![(200, 399)]),
        interval: Duration::from_millis(40),
        fast_interval: Duration::from_millis(20),
        timeout: Duration::from_millis(400),
        rise: 2,
        fall: 2,
        ..HealthCheck::default()
    }
}

pub(crate) fn pool(name: &str, sources: Vec<Source>, health: Option<HealthCheck>) -> Pool {
    let second = Duration::from_secs(1);
    let ejection = Ejection {
        consecutive_failures: 3,
        base: 2 * second,
        max: 2 * second,
        error_share: 0.0,
        ..Ejection::default()
    };
    Pool { health, ejection, panic_threshold: 0.3, ..Pool::new(name, sources) }
}

pub(crate) fn named(host: &str) -> Vec<Source> {
    vec![Source::Name { host: host.to_owned(), port: 8000 }]
}

/// A resolver that queries these servers often.
pub(crate) fn dns(servers: Vec<SocketAddr>) -> Dns {
    Dns {
        servers: servers.into_iter().map(Into::into).collect(),
        interval: Interval::Fixed(Duration::from_millis(30)),
        timeout: Duration::from_millis(600),
        ..Dns::default()
    }
}

pub(crate) fn config(servers: Vec<SocketAddr>, pools: Vec<Pool>) -> Config {
    let second = Duration::from_secs(1);
    Config {
        workers: NonZeroUsize::MIN,
        drain: second,
        drain_delay: Duration::ZERO,
        takeover: None,
        admin: None,
        admin_token_file: None,
        access_log: AccessLog::Off,
        dns: dns(servers),
        resolvers: BTreeMap::new(),
        listeners: Vec::new(),
        routes: Vec::new(),
        swarm: Swarm::default(),
        pools: pools.into_iter().map(Arc::new).collect(),
        limits: Limits {
            max_connections: NonZeroUsize::MIN,
            connections_per_client: 1,
            handshakes_per_client: 1,
            requests_per_client: 1,
            request_rate_per_client: 1,
            request_burst_per_client: 1,
            max_head: 1,
            max_headers: 1,
            max_streams: 1,
            memory: None,
            min_rate: 0,
        },
        timeouts: Timeouts { handshake: second, head: second, keep_alive: second, body_idle: second },
        trusted_proxies: Vec::new(),
    }
}
