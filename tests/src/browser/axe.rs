//! axe-core, which checks pages for accessibility; <https://dequeuniversity.com>.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::Page;
use crate::python::environment;

/// The impacts that fail a test. Findings of a lower impact are debatable.
const FAILING: [&str; 2] = ["serious", "critical"];

/// Returns the source of axe-core, to be evaluated in a page.
///
/// # Panics
/// If it cannot be installed.
#[must_use]
pub fn script() -> String {
    let libraries = environment("axe", &["--no-deps"]).join("lib");
    let versions = fs::read_dir(&libraries).expect("a virtual environment");
    let files = versions.filter_map(Result::ok).map(|version| version.path().join(FILE));
    let file: PathBuf = files.into_iter().find(|file| file.is_file()).expect("axe.min.js in its package");
    fs::read_to_string(file).expect("text")
}

const FILE: &str = "site-packages/axe_playwright_python/axe.min.js";

impl Page {
    /// Returns one line per serious or critical finding in the page, with the elements.
    ///
    /// # Panics
    /// If axe passed so few rules that it cannot have run properly.
    pub async fn accessibility_findings(&self, script: &str) -> Vec<String> {
        if self.evaluate("typeof axe").await == "undefined" {
            self.evaluate(&format!("{script}\n;0")).await;
        }
        let run = "axe.run(document, { resultTypes: ['violations'] }).then((found) => ({
            passed: found.passes.length,
            violations: found.violations.map((one) => ({
                id: one.id, impact: one.impact, help: one.help,
                nodes: one.nodes.map((node) => `${node.target} ${node.any.concat(node.all, node.none).map((c) => c.message)}`),
            })),
        }))";
        let found = self.evaluate(run).await;
        assert!(found["passed"].as_u64() > Some(15), "axe passed too few rules: {found}");
        let violations = found["violations"].as_array().cloned().unwrap_or_default();
        let failing = violations.iter().filter(|one| FAILING.iter().any(|impact| one["impact"] == *impact));
        failing.map(Value::to_string).collect()
    }
}
