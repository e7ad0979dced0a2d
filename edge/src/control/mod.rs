//! The control thread: what is bound, the threads, names, health, certificates, the admin listener, reloads and the end.
//!
//! Every decision is made on the control thread; workers only carry them out.

mod bound;
mod check;
mod command;
mod edge;
mod running;
mod start_error;
pub mod worker_thread;
pub mod workers;

pub use self::{check::check, command::Command, edge::Edge, start_error::StartError};
