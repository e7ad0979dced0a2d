//! Changes of header fields.

use http::HeaderName;

use crate::config::template::Template;

/// Changes the fields of a request or a response: removes, then sets, then adds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldRules {
    /// Removed.
    pub remove: Vec<HeaderName>,
    /// Replaces all fields of that name.
    pub set: Vec<(HeaderName, Template)>,
    /// Written beside those of the same name.
    pub add: Vec<(HeaderName, Template)>,
}

impl FieldRules {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}
