//! HTTP/1 messages as bytes, and the fields that a proxy reads, removes and adds. Pure.

pub mod h1;
pub mod headers;
mod steps;
