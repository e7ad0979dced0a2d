//! An order between the parts of a crate.

use std::path::Path;

use crate::imports::Import;

/// The parts of a crate, each a folder or a file directly in `src`, from the top down. Those of one layer stand beside
/// each other and do not import each other. `lib.rs` and `main.rs` have no place: they hold the rest.
pub(crate) struct Order<'a>(pub(crate) &'a [&'a [&'a str]]);

impl Order<'_> {
    /// The imports that go up or sideways, and the files that have no place, each in one line with what is allowed.
    pub(crate) fn offences(&self, src: &Path, imports: &[Import]) -> Vec<String> {
        imports.iter().filter_map(|import| self.offence(src, import)).collect()
    }

    fn offence(&self, src: &Path, import: &Import) -> Option<String> {
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

/// The part that a file belongs to; none for the crate's root.
fn part(src: &Path, file: &Path) -> Option<String> {
    let part = file.strip_prefix(src).ok()?.iter().next()?.to_str()?;
    let part = part.trim_end_matches(".rs");
    (!["lib", "main"].contains(&part)).then(|| part.to_owned())
}
