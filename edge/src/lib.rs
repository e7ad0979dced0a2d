//! A reverse proxy.

pub mod access_log;
pub mod admin;
pub mod config;
pub mod error;
pub mod route;
pub mod snapshot;
pub mod stats;
pub mod tls;
pub mod upstream;
