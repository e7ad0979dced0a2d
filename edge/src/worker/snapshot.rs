//! What the workers go by: one immutable value, replaced as a whole by the control thread.

use std::sync::Arc;

use crate::{config::Config, route::RouteTable, upstream::PoolHandle};

/// The configuration in force with its routes and pools. A reload publishes a new one; a request holds
/// on to the one it began with.
#[derive(Debug)]
pub struct Snapshot {
    /// As configured.
    pub config: Arc<Config>,
    /// The routes, arranged for look-up.
    pub routes: RouteTable,
    /// The pools, in the order of the configuration: a route's `pool` is an index here.
    pub pools: Vec<Arc<PoolHandle>>,
}

impl Snapshot {
    /// Puts a configuration and its pools together.
    #[must_use]
    pub fn new(config: Arc<Config>, pools: Vec<Arc<PoolHandle>>) -> Self {
        Self { routes: RouteTable::new(&config.routes), config, pools }
    }
}
