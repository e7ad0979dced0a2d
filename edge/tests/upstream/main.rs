//! Discovery and health checks against real sockets: endpoints that come, go and hang, and a name server whose answers
//! change.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod discovery;
mod health;
mod name_server;
mod reload;
mod server;
mod settings;
mod state;
