//! The load: everything that is sent to a proxy, and the outcome.

pub(crate) mod closed;
pub(crate) mod fleet;
pub(crate) mod handshakes;
pub(crate) mod open;
pub(crate) mod poller;
pub(crate) mod reply;
pub(crate) mod websocket;
