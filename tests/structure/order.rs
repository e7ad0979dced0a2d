//! The order of imports between the parts of a crate.

use std::path::Path;

use crate::imports::Import;

/// The layers of a crate from the top down. A layer contains parts, each a folder or file directly in `src`, which do
/// not import each other. `lib.rs` and `main.rs` are in no layer: they contain the parts.
pub(crate) struct Order<'a>(pub(crate) &'a [&'a [&'a str]]);

impl Order<'_> {
    /// Describes the imports that go up or sideways, and those of parts without a layer, each in one line with what is
    /// allowed.
    pub(crate) fn violations(&self, src: &Path, imports: &[Import]) -> Vec<String> {
        imports.iter().filter_map(|import| self.violation(src, import)).collect()
    }

    fn violation(&self, src: &Path, import: &Import) -> Option<String> {
        let from = part(src, &import.from)?;
        let to = part(src, &import.to).unwrap_or_default();
        let Some(layer) = self.layer(&from) else {
            return Some(format!("{import}, but `{from}` has no place in the order"));
        };
        let below: Vec<&str> = self.0[layer + 1..].concat();
        if from == to || below.contains(&to.as_str()) {
            return None;
        }
        let allowed = if below.is_empty() { "nothing".to_owned() } else { below.join(", ") };
        Some(format!("{import}, but `{from}` may import only: {allowed}"))
    }

    fn layer(&self, part: &str) -> Option<usize> {
        self.0.iter().position(|layer| layer.contains(&part))
    }
}

/// Returns the part that a file belongs to; `None` for the crate's root.
fn part(src: &Path, file: &Path) -> Option<String> {
    let part = file.strip_prefix(src).ok()?.iter().next()?.to_str()?;
    let part = part.trim_end_matches(".rs");
    (!["lib", "main"].contains(&part)).then(|| part.to_owned())
}
