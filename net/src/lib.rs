//! The networking that the programs of this workspace share.
//!
//! [`server`] accepts connections, limits their number and drains them. [`client`] sends one HTTP request on a
//! connection of its own. [`Resolver`] finds the addresses of each [`HostPort`] that settings name. [`host`] recognizes
//! names that an attacker cannot own. [`Backoff`] computes the delay between attempts. [`pem`] reads certificates and
//! keys, and [`tls`] decides which servers to trust.
//!
//! `edge` uses this crate for its admin listener, its health checks, its discovery and `edge dns`. The traffic that it
//! forwards does not pass through here: see `edge/src/downstream` and `edge/src/upstream`.

mod backoff;
pub mod client;
pub mod host;
mod host_port;
pub mod pem;
mod resolver;
pub mod server;
pub mod tls;

pub use self::{
    backoff::Backoff,
    host_port::{HostPort, Malformed},
    resolver::Resolver,
};
