//! What the edge reports about its requests: counters and the access log.

pub mod access_log;
pub mod stats;
