//! The checker of the count under faults: the app passes it, and each counter with a mistake is convicted.
//!
//! `tests/run chaos` runs the checker for longer.

mod network;
mod verdicts;
