//! HTTP/1 connections of clients: one request after the other, each forwarded as it arrives.
//!
//! A typical request is read with one system call and written to its endpoint with one, its response likewise, and
//! in between nothing is allocated: heads are parsed where they were read and written into the worker's buffers.

mod connection;
mod interim;
mod next_request;
mod relay;
mod request_body;
mod response_head;
#[cfg(test)]
mod testing;
mod trailers;

pub use self::connection::{Connection, ConnectionEnd};
