//! The swarm on one live page, in place of the tutorial's visualizer, and a word when a machine goes down.
//!
//! Everything that is known at one moment is a [`cluster_state::ClusterState`]: a plain value, made from what the
//! engine, Redis and the edges answer. The page, the API, the metrics and the alerts' rules read cluster states
//! and nothing else; what is not in its types cannot leave this process.

pub mod alert;
pub mod cluster_state;
pub mod config;
pub mod edges;
pub mod engine;
pub mod fetch;
pub mod host_port;
pub mod http;
pub mod hub;
pub mod metrics;
pub mod page;
pub mod peers;
pub mod program;
pub mod redis;
pub mod serve;
