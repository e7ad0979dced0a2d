//! The harness itself: a peer that does not do what it says would make the other tests mean nothing.

mod dns;
mod http;
mod process;
mod redis;
