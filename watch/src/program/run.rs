//! Starts every module, and stops them after a signal.

use std::{collections::BTreeMap, io, num::NonZeroUsize, path::Path, sync::Arc, time::Duration};

use process::StopSignals;
use redis_config::Location;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::{info, warn};

use crate::{
    alert::{
        self, Settings,
        notification_log::{RedisStore, Store},
    },
    config::Config,
    edges,
    engine::Engine,
    http::{LocalNode, Web},
    hub::{self, Feed, Inputs},
    metrics::Metrics,
    peers, redis, serve,
};

/// Time limit for ending background work at shutdown.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn start(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = runtime()?;
    let result = runtime.block_on(run(config));
    // A name look-up that hangs must not keep the process alive.
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    result
}

fn runtime() -> io::Result<Runtime> {
    // Polling a swarm once a second does not need more threads.
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

async fn run(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let Config { listen, engine, edges, peers, alerts, alerts_file, disk, redis, access, limits, .. } = config;
    let Config { hosts, base_path, max_connections, grace, log, .. } = config;
    process::log_to_stderr(log);
    let max_connections = NonZeroUsize::new(max_connections).map_or(max_connections, |max_connections| {
        process::raise_file_limit("--max-connections", max_connections, 1).get()
    });
    log_warnings(&alerts);
    let mut stops = StopSignals::listen()?;
    let mut hangups = signal(SignalKind::hangup())?;
    let listener = net::server::bind(listen).and_then(TcpListener::from_std);
    let listener = listener.map_err(|error| CannotListen(listen, error))?;
    let address = listener.local_addr()?;
    info!(%address, %engine, "listening");
    if access.is_local() && !address.ip().is_loopback() {
        warn!(
            "only clients on this machine may read the page: set --password-file (WATCH_PASSWORD_FILE) or --token-file \
             (WATCH_TOKEN_FILE), or --open (WATCH_OPEN=yes) for everyone"
        );
    }

    let feed = Arc::new(Feed::new(instance()));
    let metrics = Arc::new(Metrics::default());
    let local = LocalNode { disk };
    let engine = Engine::start(engine);
    let alerts = alert::start(alerts, feed.states(), redis.as_ref().map(store)).map_err(CannotAlert)?;
    metrics.register(|registry| alerts.metrics().register(registry));
    let (redis_output, redis_input) = watch::channel(None);
    if let Some(redis) = redis.clone() {
        tokio::spawn(redis::run(redis, redis_output));
    }
    if let Some(redis) = redis.clone() {
        tokio::spawn(async move { redis.follow().await });
    }
    let (edges_output, edges_input) = watch::channel(BTreeMap::new());
    if !edges.is_empty() {
        tokio::spawn(edges::run(edges, edges_output));
    }
    let (disks_output, disks_input) = watch::channel(BTreeMap::new());
    tokio::spawn(peers::run(peers, access.credentials(), local.clone(), feed.clone(), disks_output));
    let inputs = Inputs {
        engine: engine.observed(),
        redis: redis_input,
        edges: edges_input,
        disks: disks_input,
        alerts: alerts.alerts(),
    };
    tokio::spawn(hub::run(inputs, feed.clone(), metrics.clone()));

    let web = Arc::new(Web::new(feed, metrics, access, hosts, base_path, limits, local));
    serve::serve(listener, web, max_connections, grace, async {
        // A reload waits for Redis, and a signal to stop ends it.
        let reloads = async {
            while hangups.recv().await.is_some() {
                reload(&alerts, alerts_file.as_deref());
                if let Some(redis) = &redis {
                    redis.reload().await;
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = reloads => {}
            () = stops.next() => {}
        }
        tokio::spawn(stops.exit_on_next());
    })
    .await;
    alerts.stop(SHUTDOWN_TIMEOUT).await;
    Ok(())
}

/// The store of sent notifications, shared by all instances: the counter's Redis.
fn store(redis: &Location) -> Arc<dyn Store> {
    let redis = redis.clone();
    Arc::new(RedisStore::new(move || {
        let redis = redis.clone();
        async move { redis::master(&redis).await }
    }))
}

/// Reloads the alert settings, or keeps the current ones if the file is invalid.
fn reload(alerts: &alert::Running, file: Option<&Path>) {
    let Some(file) = file else {
        warn!("cannot reload alert settings: no file was given at start");
        return;
    };
    let loaded = Settings::load(file).map_err(|problems| problems.to_string());
    let reloaded = loaded.and_then(|settings| {
        log_warnings(&settings);
        alerts.reload(settings)
    });
    match reloaded {
        Ok(()) => info!(file = %file.display(), "reloaded alert settings"),
        Err(error) => warn!(error, "cannot reload alert settings; keeping the current ones"),
    }
}

/// Logs settings that are valid but probably not intended.
fn log_warnings(settings: &Settings) {
    for warning in &settings.warnings {
        warn!("{warning}");
    }
}

/// Returns a unique id for this process.
fn instance() -> String {
    format!("{:016x}", fastrand::u64(..))
}

#[derive(Debug, thiserror::Error)]
#[error("alerts cannot be sent as configured: {0}")]
struct CannotAlert(String);

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {0}: set another address with --listen (WATCH_LISTEN)")]
struct CannotListen(std::net::SocketAddr, #[source] io::Error);
