//! Active health checks and passive ejection.

pub mod error_share;
pub mod outlier;
pub(super) mod permits;
pub mod probe;
pub(super) mod state;
pub(super) mod watch;

pub use self::state::{Flip, Health, HealthStatus, delay, initial_delay};
