//! The counter as a process, with a real Redis and with its file, beside the tutorial's own program.

mod crash;
mod distance;
mod failover;
mod flask;
mod outage;
mod program;
mod redis_scripts;
mod rotation;
mod shutdown;
