//! Requests over HTTP/2. hyper implements the protocol; two bodies connect it to the edge's own HTTP/1.

mod service;

pub use self::service::{ResponseBody, answer};
