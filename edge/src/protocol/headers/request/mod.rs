//! The head of a request: what it means to a proxy, and the head for an endpoint.

mod cookie;
mod named_client;
mod summary;
#[cfg(test)]
mod tests;
mod write;

pub use cookie::cookie;
pub use named_client::named_client;
pub use summary::HeaderSummary;
pub use write::{RequestLine, write};
