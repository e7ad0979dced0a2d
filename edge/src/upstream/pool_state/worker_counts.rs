//! What was last seen of the counts of a pool's workers, to compare with the next look.

use std::collections::{HashMap, HashSet};

use crate::upstream::mesh::report::Merger;

/// The workers' counts when they were last looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Noticed {
    /// Of each decision, by its index.
    pub(super) decided: Vec<u64>,
    /// Why requests were sent again, by the index of the kind.
    pub(super) retries: Vec<u64>,
    /// Failed attempts, by the id of the endpoint.
    pub(super) failures: HashMap<u64, u64>,
    /// The endpoints that sent surplus bytes, by id.
    pub(super) surplus: HashSet<u64>,
    pub(super) mesh: Merger,
}
