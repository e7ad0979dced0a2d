//! What a rule finds wrong in one cluster state.

use serde::{Deserialize, Serialize};

use super::rule::Rule;
use crate::cluster_state::Severity;

/// Something that is wrong now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The rule that found it.
    pub rule: Rule,
    /// Identifies the condition, the same on every instance and at any time: `RULE/WHAT`.
    pub fingerprint: String,
    /// Its severity.
    pub severity: Severity,
    /// One sentence.
    pub summary: String,
    /// What the condition is about.
    pub subject: Subject,
    /// Fingerprints of possible causes. While one of them fires, this condition's alert is inhibited.
    pub causes: Vec<String>,
    /// How much longer than its rule's `for` the condition must hold, in milliseconds.
    pub extra_wait: i64,
    /// A channel that cannot be used to announce it.
    pub not_through: Option<String>,
}

/// What a condition is about. Ids are the engine's; names are for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subject {
    /// A node's id.
    pub node: Option<String>,
    /// Its host name.
    pub node_name: Option<String>,
    /// A service's id.
    pub service: Option<String>,
    /// Its name.
    pub service_name: Option<String>,
    /// A task's id.
    pub task: Option<String>,
    /// Its name.
    pub task_name: Option<String>,
}

impl Condition {
    /// Creates a condition about `what`, which is unique within the rule.
    #[must_use]
    pub fn new(rule: Rule, what: &str, severity: Severity, summary: impl Into<String>) -> Self {
        Self {
            rule,
            fingerprint: fingerprint(rule, what),
            severity,
            summary: summary.into(),
            subject: Subject::default(),
            causes: Vec::new(),
            extra_wait: 0,
            not_through: None,
        }
    }

    /// Returns what the condition is about: the part of the fingerprint after the rule.
    #[must_use]
    pub fn what(&self) -> &str {
        self.fingerprint.split_once('/').map_or("", |(_, what)| what)
    }
}

/// Returns the fingerprint of a condition.
#[must_use]
pub fn fingerprint(rule: Rule, what: &str) -> String {
    format!("{rule}/{what}")
}
