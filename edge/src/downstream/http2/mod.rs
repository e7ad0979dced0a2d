//! Requests over HTTP/2. The library `h2` implements the protocol behind a stream whose frames are inspected; what each
//! request becomes is decided here.

mod connection;
mod exchange;
mod inspected_stream;
mod piece;
mod relay;
mod request_body;
mod response_stream;

pub use self::connection::{Connection, is_flood};
