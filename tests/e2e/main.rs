//! End-to-end tests: our programs and files against real peers, one module per subject. They are one program, so that
//! it is linked once.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod chaos;
mod counter;
mod deploy;
mod docs;
mod edge;
mod harness;
mod listen;
mod local;
mod replica;
mod secrets;
mod stack;
mod watch;
mod watch_alerts;
