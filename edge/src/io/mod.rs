//! Memory, pipes and time, without any knowledge of HTTP.

pub mod buffer;
pub mod clock;
pub mod deadline;
pub mod splice;
