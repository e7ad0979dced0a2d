//! The checker of the count under faults: the app passes it, and what has to be convicted is.
//!
//! `tests/run chaos` is the same for longer.

mod network;
mod verdicts;
