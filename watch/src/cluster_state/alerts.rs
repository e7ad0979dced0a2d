//! Alerts, as the rules and the notifier see them.

use serde::{Deserialize, Serialize};

use super::events::Severity;
use crate::clock::Millis;

/// A problem that a rule found, or that was resolved a moment ago.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Name of the rule.
    pub rule: String,
    /// Severity.
    pub severity: Severity,
    /// Lifecycle state.
    pub state: AlertState,
    /// When the problem began.
    pub since: Millis,
    /// The problem in one sentence.
    pub summary: String,
    /// Id of the affected node.
    pub node: Option<String>,
    /// Id of the affected service.
    pub service: Option<String>,
    /// Id of the affected task.
    pub task: Option<String>,
    /// End of the silence that matches it: no notification is sent before.
    pub silenced_until: Option<Millis>,
    /// The alert that inhibits its notifications, because it is the cause.
    pub inhibited_by: Option<String>,
}

/// Lifecycle state of an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The problem has not lasted for the rule's `for` yet.
    #[default]
    Pending,
    /// The problem has lasted for the rule's `for`.
    Firing,
    /// The problem is over; the alert stays visible for a while.
    Resolved,
}
