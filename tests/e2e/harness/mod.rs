//! The harness itself: with peers that do not behave as documented, the other tests would prove nothing.

mod dns;
mod http;
mod process;
mod redis;
