//! The checker of the count under faults: the app passes it, and each counter with a mistake is convicted.
//!
//! `tests/run chaos` runs the checker for longer.

mod late_failover;
mod network;
mod verdicts;

use tokio::sync::Mutex;

/// Allows one cluster at a time: several would starve each other, and live hosts would look dead.
static ALONE: Mutex<()> = Mutex::const_new(());
