//! How the edge reports on its requests: counters, decisions and the access log.

pub mod access_log;
pub mod counter;
pub mod decisions;
pub mod log_limit;
pub mod peak_ewma;
pub mod refusals;
pub mod response_times;
pub mod silence;
pub mod stats;
