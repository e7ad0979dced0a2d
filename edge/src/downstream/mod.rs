//! The clients' side: sockets that are accepted, TLS, the protocols that clients speak.
//!
//! A connection goes from [`listener`] to [`mod@connection`], which finds out its protocol and hands it to [`http1`] or
//! [`http2`]; [`tunnel`] takes over after an upgrade.

pub mod connection;
pub mod http1;
pub mod http2;
pub mod listener;
pub mod observed_stream;
pub mod tls;
pub mod tunnel;
