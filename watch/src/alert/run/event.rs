//! What the runner receives and publishes.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::oneshot;

use crate::{
    alert::{
        channel::{Http, Senders},
        notification_log::{ClaimResult, LogEntry},
        notifier::{AlertGroup, Failure, LogSync, Notification},
        settings::Settings,
    },
    cluster_state::{Alert, Millis},
};

/// Returns the current time.
pub(super) type Clock = Box<dyn Fn() -> Millis + Send>;

/// Alerts by fingerprint.
pub type Alerts = Arc<BTreeMap<String, Alert>>;

/// The outcome of something that the notifier asked for.
#[derive(Debug)]
pub(super) enum Event {
    Claimed(AlertGroup, Result<Vec<ClaimResult>, String>),
    Sent(Notification, Result<(), Failure>),
    Synced(LogSync, Result<Vec<(String, String, LogEntry)>, String>),
}

pub(super) enum Control {
    Reload(Box<Settings>, Senders, Http),
    Stop(oneshot::Sender<()>),
}
