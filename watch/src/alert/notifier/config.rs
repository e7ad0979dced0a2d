//! The configuration of a notifier.

use crate::{
    alert::{rule::Rules, silence::Silence},
    cluster_state::{Millis, Severity},
};

/// The configuration of a notifier.
#[derive(Clone, Debug, PartialEq)]
pub struct NotifierConfig {
    /// The rules.
    pub rules: Rules,
    /// The silences.
    pub silences: Vec<Silence>,
    /// The receivers, one for each channel.
    pub receivers: Vec<Receiver>,
    /// How long to wait.
    pub delays: Delays,
}

/// How long to wait before a notification is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// Alerts that begin within this time are sent together.
    pub group_wait: Millis,
    /// Between two notifications of one rule that are not critical.
    pub group_interval: Millis,
    /// For each instance before this one, while the log is available.
    pub takeover: Millis,
    /// For each instance before this one, while it is not.
    pub takeover_blind: Millis,
}

/// What is sent to one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receiver {
    /// The channel's name.
    pub name: String,
    /// The lowest severity to send.
    pub minimum: Severity,
    /// Whether ends are sent.
    pub resolved: bool,
    /// An alert that is still firing is sent again after this time.
    pub repeat: Millis,
}
