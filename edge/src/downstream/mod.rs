//! The clients' side: listening sockets, TLS, and the protocols of client connections.
//!
//! A connection goes from [`listener`] to [`mod@connection`], which detects its protocol and passes it to [`http1`] or
//! [`http2`]; [`tunnel`] takes over after an upgrade.

pub mod connection;
mod drive;
mod hand_over;
mod handshake;
pub mod http1;
pub mod http2;
pub mod listener;
pub mod observed_stream;
pub mod tls;
pub mod tunnel;
