//! The counter as a process, on a real Redis and on its file, beside the tutorial's own program.

mod crash;
mod failover;
mod flask;
mod guard;
mod outage;
mod program;
mod shutdown;
