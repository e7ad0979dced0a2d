//! What a formula tells.

/// t
pub fn rest() -> String { String::new() }
/// t
pub fn count() -> String { String::new() }
