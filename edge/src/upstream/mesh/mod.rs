//! Pools behind a routing mesh, where an endpoint is a node and each connection to it leads to one replica for its
//! life.
//!
//! Health and balance then belong to connections. Each worker keeps several warm connections to each node, learns from
//! the responses which replica is behind each, gives the next request to the replica whose turn it is, and asks the
//! health path on the connections themselves. Only this folder decides; it has no sockets and does not sleep.
//! [`connection::mesh`](super::connection::mesh) holds the connections, and the worker's keeper opens and asks them.

pub mod connect_time;
pub mod link;
pub mod plan;
pub mod report;
pub mod spread;
pub mod warm;
