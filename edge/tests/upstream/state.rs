//! The state of a pool, for assertions.

use std::{net::SocketAddr, sync::Arc};

use edge::upstream::{EndpointState, PoolHandle, PoolSnapshot};

pub(crate) fn snapshot(pool: &PoolHandle) -> Arc<PoolSnapshot> {
    pool.snapshot.load_full()
}

pub(crate) fn addresses(pool: &PoolHandle) -> Vec<String> {
    snapshot(pool).endpoints.iter().map(|endpoint| endpoint.address.ip().to_string()).collect()
}

pub(crate) fn healthy(pool: &PoolHandle) -> Vec<SocketAddr> {
    snapshot(pool).healthy.iter().map(|endpoint| endpoint.address).collect()
}

pub(crate) fn error(pool: &PoolHandle) -> Option<String> {
    snapshot(pool).sources[0].error.clone()
}

pub(crate) fn status(pool: &PoolHandle, index: usize) -> (EndpointState, String) {
    let status = snapshot(pool).endpoints[index].status();
    (status.state, status.reason)
}

/// The number of tasks of this thread that have not ended.
pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}
