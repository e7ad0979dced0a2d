//! The counter as a process, with a real Redis and with its file, beside the tutorial's own program.

mod count_here;
mod crash;
mod damaged_files;
mod distance;
mod failover;
mod flask;
mod outage;
mod program;
mod redis_scripts;
mod rotation;
mod shutdown;
