//! The swarm on one live page, in place of the tutorial's visualizer, and alerts when a node goes down.
//!
//! Everything known about the cluster is one plain value, a [`cluster_state::ClusterState`], assembled from the
//! responses of the engine, Redis and the edges. The page, the API, the metrics and the alert rules read cluster
//! states and nothing else, so data without a field there cannot leave this process.

pub mod alert;
pub mod clock;
pub mod cluster_state;
pub mod config;
pub mod edges;
pub mod engine;
pub mod fetch;
pub mod http;
pub mod hub;
pub mod metrics;
pub mod page;
pub mod peers;
pub mod program;
pub mod redis;
pub mod serve;
