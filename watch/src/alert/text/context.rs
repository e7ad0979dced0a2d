//! What all messages have in common.

use crate::alert::settings::General;

/// What all messages have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// What the swarm is called.
    pub cluster: String,
    /// Where the page is.
    pub link: Option<String>,
}

impl From<&General> for Context {
    fn from(general: &General) -> Self {
        Self { cluster: general.cluster.clone(), link: general.link.clone() }
    }
}
