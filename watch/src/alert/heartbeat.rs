//! Regular requests to a monitor outside the swarm, for as long as alerts would be sent. The monitor raises the
//! alarm when the requests stop, since the loss of all machines cannot be announced from inside.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{info, warn};

use super::{
    channel::{Http, secrets},
    metrics::{Metrics, Outcome},
    position::position,
    rules::is_stale,
    settings::Heartbeat,
    time,
};
use crate::cluster_state::ClusterState;

/// The longest pause after a failure.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(10);

/// Sends heartbeats forever.
pub(super) async fn run(
    heartbeat: Heartbeat,
    http: Http,
    states: watch::Receiver<Arc<ClusterState>>,
    metrics: Metrics,
) {
    let mut ticks = interval(heartbeat.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        ticks.tick().await;
        if !is_mine(&states) {
            continue;
        }
        match beat(&heartbeat, &http).await {
            Ok(()) => {
                metrics.heartbeat(Outcome::sent);
                if std::mem::take(&mut is_failing) {
                    info!("heartbeats are accepted again");
                }
            }
            Err(error) => {
                metrics.heartbeat(Outcome::failed);
                if !std::mem::replace(&mut is_failing, true) {
                    warn!(error, "a heartbeat failed");
                }
                if MAX_RETRY_PAUSE < heartbeat.interval {
                    ticks.reset_after(MAX_RETRY_PAUSE);
                }
            }
        }
    }
}

/// Only the leader's instance sends heartbeats, and only while its engine answers.
fn is_mine(states: &watch::Receiver<Arc<ClusterState>>) -> bool {
    let cluster = states.borrow();
    let now = time::now();
    !is_stale(&cluster, now) && position(&cluster, now) == 0
}

async fn beat(heartbeat: &Heartbeat, http: &Http) -> Result<(), String> {
    let url = heartbeat.url.expose();
    let hidden = secrets(url);
    let sending = Http::send(http.ping(url, heartbeat.post), url, &hidden);
    match timeout(heartbeat.timeout, sending).await {
        Ok(sent) => sent.map_err(|error| error.error),
        Err(_) => Err(format!("no answer within {}", humantime::format_duration(heartbeat.timeout))),
    }
}
