//! What happened, and how severe it is.

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// An entry of the time line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Id, which grows with each event of one instance.
    pub id: u64,
    /// When this instance noticed it.
    pub at: Millis,
    /// Severity.
    pub severity: Severity,
    /// The event in one sentence.
    pub text: String,
    /// Id of the affected node.
    pub node: Option<String>,
    /// Id of the affected service.
    pub service: Option<String>,
    /// Id of the affected task.
    pub task: Option<String>,
}

/// Severity of an event or an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For information.
    #[default]
    Info,
    /// Needs attention soon.
    Warning,
    /// Needs attention now.
    Critical,
}
