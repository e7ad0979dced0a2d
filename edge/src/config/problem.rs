//! The problems of a configuration. Each states the place, the fault and the fix. All are reported together, so that
//! one run finds them all.

pub use settings::{LoadError as ConfigError, Place, Problem};

use super::Config;

/// A valid configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration with all defaults.
    pub config: Config,
    /// Settings that are valid but probably unintended, such as a pool that no route names. For the log.
    pub warnings: Vec<Problem>,
}
