//! A reverse proxy.

pub mod access_log;
pub mod account;
pub mod admin;
pub mod balance;
pub mod body;
pub mod config;
pub mod control;
pub mod crew;
pub mod deadline;
pub mod downstream;
pub mod error;
pub mod forward;
pub mod headers;
pub mod heartbeat;
pub mod http;
pub mod listener;
pub mod meter;
pub mod respond;
pub mod route;
pub mod snapshot;
pub mod stats;
pub mod tls;
pub mod upgrade;
pub mod upstream;
pub mod worker;
