//! Memory, pipes and time. Nothing here knows HTTP.

pub mod buffer;
pub mod clock;
pub mod deadline;
pub mod splice;
