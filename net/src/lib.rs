//! What the programs of this workspace do on sockets, each of it once.
//!
//! [`server`] accepts connections, limits their number and drains them. [`client`] makes one HTTP request on a
//! connection of its own. [`Backoff`] is the pause between attempts.
//!
//! `edge` depends on this crate for its health checks and its discovery. Its own traffic does not pass through
//! here: see `edge/src/downstream` and `edge/src/upstream`.

mod backoff;
pub mod client;
pub mod server;

pub use self::backoff::Backoff;
