//! HTTP as bytes: messages on the wire and the fields that a proxy reads, removes and adds. Pure.

pub mod h1;
pub mod headers;
