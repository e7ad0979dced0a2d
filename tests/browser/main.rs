//! The live page in a real browser.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod pictures;
mod shots;
