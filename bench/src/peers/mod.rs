//! The proxies: each gets the same task, configured as its own documentation advises for it.
//!
//! The task: keep-alive on both sides, `X-Forwarded-For`, `-Proto`, `-Host`, `Forwarded` and `Via` set, one
//! line of JSON logged for each request, endpoints checked every two seconds, metrics kept.

mod caddy;
mod edge;
mod ground;
mod haproxy;
mod nginx;
mod peer;
mod pingora;
mod proxy;
mod relay;
mod start;

pub(crate) use self::{ground::Ground, peer::Peer, proxy::Proxy, start::Setup};
