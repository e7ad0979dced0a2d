//! Load generators and the clients that they use.

pub(crate) mod clients;
pub(crate) mod closed;
pub(crate) mod handshakes;
pub(crate) mod open;
pub(crate) mod poller;
pub(crate) mod response_reader;
pub(crate) mod websocket;
