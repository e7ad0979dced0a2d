//! Uses the log for the runner, one request after the other in their order.

use tokio::{sync::mpsc, time::Instant};
use tracing::{info, warn};

use super::event::Event;
use crate::{
    alert::{
        metrics::{Metrics, Outcome},
        notification_log::{ClaimResult, LogEntry, SharedLog},
        notifier::{AlertGroup, LogSync},
    },
    cluster_state::Millis,
};

/// A request to the log.
#[derive(Debug)]
pub(super) enum LogRequest {
    Claim { group: AlertGroup, lifetime: Millis },
    Sync(LogSync),
}

/// Serves requests until the runner ends.
pub(super) async fn run(
    instance: String,
    log: SharedLog,
    mut requests: mpsc::UnboundedReceiver<(LogRequest, Instant)>,
    events: mpsc::UnboundedSender<Event>,
    metrics: Metrics,
) {
    let mut failed: Option<Instant> = None;
    let mut is_unavailable = false;
    while let Some((request, since)) = requests.recv().await {
        // A request that waited behind a failure has waited for long enough.
        let is_behind_failure = failed.is_some_and(|failed| failed > since);
        let event = match request {
            LogRequest::Claim { group, lifetime } => {
                let results = claim(&instance, &log, &group, lifetime, is_behind_failure).await;
                Event::Claimed(group, results)
            }
            LogRequest::Sync(sync) => {
                let entries = exchange(&log, &sync, is_behind_failure).await;
                Event::Synced(sync, entries)
            }
        };
        let error = match &event {
            Event::Claimed(_, result) => result.as_ref().err(),
            Event::Synced(_, result) => result.as_ref().err(),
            Event::Sent(..) => None,
        };
        match error {
            None => {
                metrics.log(Outcome::sent);
                failed = None;
                if std::mem::take(&mut is_unavailable) {
                    info!("the notification log is available again");
                }
            }
            Some(error) => {
                metrics.log(Outcome::failed);
                if !is_behind_failure {
                    failed = Some(Instant::now());
                }
                if !std::mem::replace(&mut is_unavailable, true) {
                    warn!(error, "the notification log is unavailable: instances may send duplicates");
                }
            }
        }
        if events.send(event).is_err() {
            return;
        }
    }
}

async fn claim(
    instance: &str,
    log: &SharedLog,
    group: &AlertGroup,
    lifetime: Millis,
    is_behind_failure: bool,
) -> Result<Vec<ClaimResult>, String> {
    if is_behind_failure {
        return Err("it did not answer the previous request".to_owned());
    }
    let claimed = log.update(|log, now| group.claim(instance, log, lifetime, now)).await;
    claimed.map_err(|error| error.to_string())
}

async fn exchange(
    log: &SharedLog,
    sync: &LogSync,
    is_behind_failure: bool,
) -> Result<Vec<(String, String, LogEntry)>, String> {
    if is_behind_failure {
        return Err("it did not answer the previous request".to_owned());
    }
    log.update(|log, now| sync.apply(log, now)).await.map_err(|error| error.to_string())
}
