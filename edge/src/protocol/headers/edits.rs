//! Changes of the fields of a message that is passed on.

use http::{HeaderName, HeaderValue};

/// Fields to remove and to add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldEdits {
    /// Removed from what the other side sent.
    pub remove: Vec<HeaderName>,
    /// Written behind it.
    pub add: Vec<(HeaderName, HeaderValue)>,
}

impl FieldEdits {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }

    /// Replaces all fields of that name.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.remove.push(name.clone());
        self.add.push((name, value));
    }

    /// Whether a field of the other side is removed.
    #[must_use]
    pub fn removes(&self, name: &str) -> bool {
        self.remove.iter().any(|removed| removed.as_str().eq_ignore_ascii_case(name))
    }
}
