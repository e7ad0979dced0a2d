//! From what was seen to what is wrong and what to do about it.
//!
//! Pure: facts go in, findings come out. A problem is what a visitor may meet: no answer, somebody else's
//! answer, a warning of the browser, a name that does not lead where it should. A hint is what makes such days
//! likelier or longer.

mod addresses;
mod names;

use serde::Serialize;

use super::facts::Facts;

/// Something worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What it is, for programs. Never changes.
    pub code: &'static str,
    /// A resolver, an address, an address with its port, or the name.
    pub about: String,
    /// What it is, for people.
    pub message: String,
    /// What to do about it.
    pub mend: String,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Something is wrong.
    Problem,
    /// All is well, and could be better.
    Hint,
}

/// Everything that is to be said, problems first.
#[must_use]
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings::default();
    names::judge(facts, &mut findings);
    addresses::judge(facts, &mut findings);
    // Stable: in the order of the facts otherwise.
    findings.0.sort_by_key(|finding| finding.level);
    findings.0
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn problem(
        &mut self,
        code: &'static str,
        about: &dyn ToString,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add(Level::Problem, code, about, message, mend);
    }

    fn hint(&mut self, code: &'static str, about: &dyn ToString, message: impl Into<String>, mend: impl Into<String>) {
        self.add(Level::Hint, code, about, message, mend);
    }

    fn add(
        &mut self,
        level: Level,
        code: &'static str,
        about: &dyn ToString,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        let (about, message, mend) = (about.to_string(), message.into(), mend.into());
        self.0.push(Finding { level, code, about, message, mend });
    }
}

/// Some of a list, so that a line stays a line.
fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    const MOST: usize = 5;
    let items: Vec<_> = items.into_iter().map(|item| item.to_string()).collect();
    let shown = items.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if items.len() > MOST { format!("{shown} and {} more", items.len() - MOST) } else { shown }
}

#[cfg(test)]
mod tests;
