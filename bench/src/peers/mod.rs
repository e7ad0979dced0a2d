//! The proxies. Each has the same task and is configured as its own documentation recommends.
//!
//! The task: keep-alive on both sides, `X-Forwarded-For`, `-Proto`, `-Host`, `Forwarded` and `Via` set, one JSON log
//! line per request, health checks every two seconds, metrics enabled.

mod caddy;
mod edge;
mod environment;
mod haproxy;
mod launch;
mod nginx;
mod peer;
mod pingora;
mod proxy;
mod relay;

pub(crate) use self::{environment::Environment, launch::Setup, peer::Peer, proxy::Proxy};
