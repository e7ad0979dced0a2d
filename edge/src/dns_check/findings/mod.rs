//! Derives findings from the facts: what is wrong, and how to fix it.
//!
//! Pure: facts go in, findings come out. A problem is something that a visitor may encounter: no response, the response
//! of another program, a browser warning, a name that leads to the wrong place. A hint is something that makes outages
//! more likely or longer.

mod addresses;
mod finding;
mod names;
mod outcomes;
#[cfg(test)]
mod tests;

use self::finding::Findings;
pub(super) use self::finding::listed;
pub use self::finding::{Finding, Level};
use super::facts::Facts;

/// Returns the findings, problems first.
#[must_use]
pub fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Findings::default();
    names::check(facts, &mut findings);
    addresses::check(facts, &mut findings);
    findings.sorted()
}
