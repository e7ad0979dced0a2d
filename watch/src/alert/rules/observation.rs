//! What the rules find in one cluster state.

use crate::alert::{
    condition::{Condition, fingerprint},
    rule::Rule,
};

/// What was found in one cluster state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// What is wrong.
    pub conditions: Vec<Condition>,
    /// Prefixes of the fingerprints whose state is unknown.
    pub unknown: Vec<String>,
}

impl Observation {
    /// Whether the cluster state contains what this fingerprint is about.
    #[must_use]
    pub fn knows(&self, fingerprint: &str) -> bool {
        !self.unknown.iter().any(|beginning| fingerprint.starts_with(beginning.as_str()))
    }

    pub(super) fn unknown(&mut self, rule: Rule, what: &str) {
        self.unknown.push(fingerprint(rule, what));
    }
}
