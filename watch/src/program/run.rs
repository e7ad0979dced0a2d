//! Starts every part, and ends them when it is asked to.

use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Duration};

use process::Stops;
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
    http::{Local, Web},
    hub::{self, Feed, Inputs},
    metrics::Metrics,
    peers, redis, serve,
};

/// How long what is still under way may take to end with the process.
const CLOSE: Duration = Duration::from_secs(2);

pub(super) fn start(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    process::raise_file_limit(config.max_connections);
    let runtime = runtime()?;
    let done = runtime.block_on(run(config));
    // A look-up that hangs must not keep the process.
    runtime.shutdown_timeout(CLOSE);
    done
}

fn runtime() -> io::Result<Runtime> {
    // It looks at a small swarm once a second: more threads would only wait.
    Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

async fn run(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let Config { listen, engine, edges, peers, alerts, alerts_file, disk, redis, access, limits, .. } = config;
    let Config { max_connections, grace, log, .. } = config;
    process::log_to_stderr(log);
    heed(&alerts);
    let mut stops = Stops::watch()?;
    let mut hangups = signal(SignalKind::hangup())?;
    let listener = TcpListener::bind(listen).await.map_err(|error| CannotListen(listen, error))?;
    let address = listener.local_addr()?;
    info!(%address, %engine, "listening");

    let feed = Arc::new(Feed::new(instance()));
    let metrics = Arc::new(Metrics::default());
    let local = Local { disk };
    let engine = Engine::start(engine);
    let alerts = alert::start(alerts, feed.states(), redis.as_ref().map(store)).map_err(CannotAlert)?;
    metrics.register(|registry| alerts.metrics().register(registry));
    let (redis_seen, redis_input) = watch::channel(None);
    if let Some(redis) = redis {
        tokio::spawn(redis::run(redis, redis_seen));
    }
    let (edges_seen, edges_input) = watch::channel(BTreeMap::new());
    if !edges.is_empty() {
        tokio::spawn(edges::run(edges, edges_seen));
    }
    let (disks_seen, disks_input) = watch::channel(BTreeMap::new());
    tokio::spawn(peers::run(peers, access.credentials(), local.clone(), feed.clone(), disks_seen));
    let inputs = Inputs {
        engine: engine.observed(),
        redis: redis_input,
        edges: edges_input,
        disks: disks_input,
        alerts: alerts.alerts(),
    };
    tokio::spawn(hub::run(inputs, feed.clone(), metrics.clone()));

    let web = Arc::new(Web::new(feed, metrics, access, limits, local));
    serve::serve(listener, web, max_connections, grace, async {
        loop {
            tokio::select! {
                _ = hangups.recv() => reload(&alerts, alerts_file.as_deref()),
                () = stops.next() => break,
            }
        }
        tokio::spawn(stops.exit_on_next());
    })
    .await;
    alerts.stop(CLOSE).await;
    Ok(())
}

/// Where the instances keep what they have announced: beside the count.
fn store(redis: &Location) -> Arc<dyn Store> {
    let redis = redis.clone();
    Arc::new(RedisStore::new(move || {
        let redis = redis.clone();
        async move { redis::master(&redis).await }
    }))
}

/// Goes by the file as it is now, or as before if that makes no sense.
fn reload(alerts: &alert::Running, file: Option<&Path>) {
    let Some(file) = file else {
        warn!("there is no file of alerts to be read again: none was named at the start");
        return;
    };
    let loaded = Settings::load(file).map_err(|problems| problems.to_string());
    let reloaded = loaded.and_then(|settings| {
        heed(&settings);
        alerts.reload(settings)
    });
    match reloaded {
        Ok(()) => info!(file = %file.display(), "alerts go by the file as it is now"),
        Err(error) => warn!(error, "alerts go on as before"),
    }
}

/// Logs what is allowed but hardly meant.
fn heed(settings: &Settings) {
    for warning in &settings.warnings {
        warn!("{warning}");
    }
}

/// A name for this process that no other has.
fn instance() -> String {
    format!("{:016x}", fastrand::u64(..))
}

#[derive(Debug, thiserror::Error)]
#[error("alerts cannot be sent as configured: {0}")]
struct CannotAlert(String);

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {0}; another address can be set by --listen (WATCH_LISTEN)")]
struct CannotListen(std::net::SocketAddr, #[source] io::Error);
