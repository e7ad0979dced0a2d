//! One finding, and a list of them.

use serde::Serialize;

/// A problem or a hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The severity.
    pub level: Level,
    /// Identifies the kind of finding for programs. Never changes.
    pub code: &'static str,
    /// The subject: a resolver, an address, an address with its port, or the name.
    pub about: String,
    /// The finding in words.
    pub message: String,
    /// How to fix it.
    // The key is part of the format of the JSON report.
    #[serde(rename = "mend")]
    pub advice: String,
}

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Visitors may be affected.
    Problem,
    /// Visitors are not affected, but the setup could be better.
    Hint,
}

/// The findings so far.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

impl Findings {
    /// Returns all findings, problems first, otherwise in the order they were added.
    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| finding.level);
        self.0
    }

    pub(super) fn problem(
        &mut self,
        code: &'static str,
        about: &dyn ToString,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(Level::Problem, code, about, message, advice);
    }

    pub(super) fn hint(
        &mut self,
        code: &'static str,
        about: &dyn ToString,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(Level::Hint, code, about, message, advice);
    }

    fn add(
        &mut self,
        level: Level,
        code: &'static str,
        about: &dyn ToString,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) {
        let (about, message, advice) = (about.to_string(), message.into(), advice.into());
        self.0.push(Finding { level, code, about, message, advice });
    }
}

/// Returns a list as text, with a count of the items beyond the first five.
pub(in crate::dns_check) fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    const MAX: usize = 5;
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    let shown = items.iter().take(MAX).cloned().collect::<Vec<_>>().join(", ");
    if items.len() > MAX { format!("{shown} and {} more", items.len() - MAX) } else { shown }
}
