//! The control thread: bound addresses, worker threads, name resolution, health checks, certificates, the admin
//! listener, reloads and the end.
//!
//! The control thread makes every decision; the workers carry them out.

mod admin_listener;
mod bound;
mod check;
mod command;
mod edge;
mod inherited;
mod rule_files;
mod running;
mod start_error;
mod takeover;
pub mod worker_thread;
pub mod workers;

pub use self::{
    check::check,
    command::Command,
    edge::Edge,
    inherited::{Inherited, UnusedSocket},
    start_error::StartError,
    takeover::TakeoverError,
};
