//! Runs a notifier: passes it cluster states, uses the log, and sends its notifications.

mod event;
mod log_worker;
mod runner;
use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tracing::warn;

pub use self::event::Alerts;
use self::{
    event::{Clock, Control},
    runner::Runner,
};
use super::{
    channel::{Http, senders},
    metrics::Metrics,
    notification_log::{SharedLog, Store},
    settings::Settings,
    time,
};
use crate::cluster_state::ClusterState;

/// A running notifier.
#[derive(Debug)]
pub struct Running {
    alerts: watch::Receiver<Alerts>,
    control: mpsc::UnboundedSender<Control>,
    metrics: Metrics,
    task: JoinHandle<()>,
}

/// Starts to evaluate cluster states and to send notifications. `store` keeps the log that the instances share;
/// without one, each instance sends everything, and remembers it if the settings name a state file.
///
/// # Errors
/// A channel cannot be used as it is configured.
pub fn start(
    settings: Settings,
    states: watch::Receiver<Arc<ClusterState>>,
    store: Option<Arc<dyn Store>>,
) -> Result<Running, String> {
    start_with(settings, states, store, Box::new(time::now))
}

fn start_with(
    settings: Settings,
    states: watch::Receiver<Arc<ClusterState>>,
    store: Option<Arc<dyn Store>>,
    clock: Clock,
) -> Result<Running, String> {
    let senders = senders(&settings)?;
    let http = Http::new(&settings.general.authorities)?;
    let metrics = Metrics::default();
    let (shown, alerts) = watch::channel(Alerts::default());
    let (control, controls) = mpsc::unbounded_channel();
    let runner = Runner::new(settings, senders, http, states, SharedLog::new(store), metrics.clone(), shown, clock);
    let task = tokio::spawn(runner.run(controls));
    Ok(Running { alerts, control, metrics, task })
}

impl Running {
    /// Returns the alerts as the page shows them.
    #[must_use]
    pub fn alerts(&self) -> watch::Receiver<Alerts> {
        self.alerts.clone()
    }

    /// Returns the metrics for `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Replaces the settings.
    ///
    /// # Errors
    /// A channel cannot be used as it is configured. The old settings then remain.
    pub fn reload(&self, settings: Settings) -> Result<(), String> {
        let senders = senders(&settings)?;
        let http = Http::new(&settings.general.authorities)?;
        // The runner ends only through `stop`, which takes `self` by value.
        drop(self.control.send(Control::Reload(Box::new(settings), senders, http)));
        Ok(())
    }

    /// Stops. Messages that are being sent may finish within `bound`.
    pub async fn stop(self, bound: Duration) {
        let (done, ended) = oneshot::channel();
        drop(self.control.send(Control::Stop(done)));
        if tokio::time::timeout(bound, ended).await.is_err() {
            warn!("messages that were being sent are cut off; another instance sends them again");
        }
        self.task.abort();
    }
}

#[cfg(test)]
mod tests;
