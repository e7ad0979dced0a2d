//! What all messages have in common.

use crate::alert::settings::General;

/// What all messages have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The name of the swarm.
    pub cluster: String,
    /// The address of the page.
    pub link: Option<String>,
}

impl From<&General> for Context {
    fn from(general: &General) -> Self {
        Self { cluster: general.cluster.clone(), link: general.link.clone() }
    }
}
