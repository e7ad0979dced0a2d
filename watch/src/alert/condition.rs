//! What a rule found wrong in one cluster state.

use serde::{Deserialize, Serialize};

use super::rule::Rule;
use crate::cluster_state::Severity;

/// Something that is wrong at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The rule that found it.
    pub rule: Rule,
    /// The same for the same trouble, whoever sees it and whenever: `RULE/WHAT`.
    pub fingerprint: String,
    /// How much it matters.
    pub severity: Severity,
    /// One sentence.
    pub summary: String,
    /// What it is about.
    pub subject: Subject,
    /// Fingerprints of what explains it. While one of them is told, this is not.
    pub causes: Vec<String>,
    /// So much longer than the rule's own time it has to be so, in milliseconds.
    pub extra_wait: i64,
    /// A channel that cannot be used to tell it.
    pub not_through: Option<String>,
}

/// What something is about; ids are the engine's, names are for people.
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
    /// Something wrong with `what`, which is unique within the rule.
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
}

/// The name of one trouble.
#[must_use]
pub fn fingerprint(rule: Rule, what: &str) -> String {
    format!("{rule}/{what}")
}
