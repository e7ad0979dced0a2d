//! What is wrong at present, as the alerts' rules see it.

use serde::{Deserialize, Serialize};

use super::{Millis, Severity};

/// Something that is wrong, or was a moment ago.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Name of the rule that found it.
    pub rule: String,
    /// How much it matters.
    pub severity: Severity,
    /// How far it is.
    pub state: AlertState,
    /// Since when it is wrong.
    pub since: Millis,
    /// One sentence.
    pub summary: String,
    /// The node that it is about.
    pub node: Option<String>,
    /// The service that it is about.
    pub service: Option<String>,
    /// The task that it is about.
    pub task: Option<String>,
    /// Nobody is told until then.
    pub silenced_until: Option<Millis>,
    /// Nobody is told, since this alert's cause is told already.
    pub inhibited_by: Option<String>,
}

/// How far an alert is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Not for long enough yet.
    #[default]
    Pending,
    /// For long enough.
    Firing,
    /// Over, but shown for a while.
    Resolved,
}
