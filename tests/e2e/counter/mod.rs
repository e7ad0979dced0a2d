//! The counter as a process, on a real Redis and on its file, beside the tutorial's own program.

mod crash;
mod failover;
mod flask;
mod outage;
mod program;
mod redis_scripts;
mod shutdown;
