//! A connection to an endpoint, used for one request at a time.
//!
//! Only the request that uses it polls it. There is no task besides the client's, and so no wake-up to cross from one
//! task to another and back.

pub mod ask;
pub mod body_source;
pub mod body_writer;
pub mod mesh;
mod open;
mod permit;
pub mod pool;
pub mod replay;
mod response_body;
mod response_head;
mod reuse;
mod state;

pub use open::{Connecting, open};
pub use permit::{ConnectionPermit, InFlight, Place};
pub use response_head::ResponseHead;
pub use state::Connection;
