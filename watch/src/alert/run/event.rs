//! What the runner is told, and what it publishes.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::oneshot;

use crate::{
    alert::{
        channel::{Http, Senders},
        notification_log::{Told, Verdict},
        notifier::{Failure, Job, Notice, Push},
        settings::Settings,
    },
    cluster_state::{Alert, Millis},
};

/// What time it is.
pub(super) type Clock = Box<dyn Fn() -> Millis + Send>;

/// Alerts by fingerprint.
pub type Alerts = Arc<BTreeMap<String, Alert>>;

/// What the desk is told.
#[derive(Debug)]
pub(super) enum Event {
    Claimed(Job, Result<Vec<Verdict>, String>),
    Sent(Notice, Result<(), Failure>),
    Synced(Push, Result<Vec<(String, String, Told)>, String>),
}

pub(super) enum Control {
    Reload(Box<Settings>, Senders, Http),
    Stop(oneshot::Sender<()>),
}
