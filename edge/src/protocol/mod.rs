//! HTTP/1 messages as bytes, what the edge checks in the bytes of HTTP/2, and the fields that a proxy reads, removes and
//! adds. Pure.

pub mod h1;
pub mod h2;
pub mod headers;
pub mod path;
mod steps;
