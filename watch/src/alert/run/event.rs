//! What the runner is entry, and what it publishes.

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

/// What time it is.
pub(super) type Clock = Box<dyn Fn() -> Millis + Send>;

/// Alerts by fingerprint.
pub type Alerts = Arc<BTreeMap<String, Alert>>;

/// What the notifier is entry.
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
