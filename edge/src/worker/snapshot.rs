//! The snapshot that workers read: one immutable value, which the control thread replaces as a whole.

use std::sync::Arc;

use crate::{config::Config, filters::RuleFiles, route::RouteTable, upstream::PoolHandle};

/// The active configuration with its routes and pools. A reload publishes a new one; a request keeps the one that it
/// started with.
#[derive(Debug)]
pub struct Snapshot {
    /// The configuration.
    pub config: Arc<Config>,
    /// The routes, arranged for lookup.
    pub routes: RouteTable,
    /// What the files of the rules of routes contain.
    pub files: RuleFiles,
    /// The pools, in the order of the configuration: a route's `pool` is an index here.
    pub pools: Vec<Arc<PoolHandle>>,
}

impl Snapshot {
    /// Creates the snapshot of a configuration, its pools, and the files of its rules.
    #[must_use]
    pub fn new(config: Arc<Config>, pools: Vec<Arc<PoolHandle>>, files: RuleFiles) -> Self {
        Self { routes: RouteTable::new(&config.routes), config, pools, files }
    }
}
