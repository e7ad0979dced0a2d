//! Load: everything a proxy is sent, and what came of it.

pub(crate) mod closed;
pub(crate) mod fleet;
pub(crate) mod handshakes;
pub(crate) mod open;
pub(crate) mod poller;
pub(crate) mod reply;
pub(crate) mod websocket;
