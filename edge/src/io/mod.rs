//! Memory, pipes, TLS streams and time. Nothing here knows HTTP.

pub mod buffer;
pub mod clock;
pub mod deadline;
pub mod memory;
pub mod patience;
pub mod splice;
pub mod tls_stream;
