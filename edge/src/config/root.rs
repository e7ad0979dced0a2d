//! The root of the configuration.

use std::{collections::BTreeMap, net::SocketAddr, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;

use super::{
    access_log::AccessLog,
    discovery::{Dns, Swarm},
    limits::{Limits, Timeouts},
    listener::Listener,
    pool::Pool,
    route::Route,
};

/// The whole configuration of one edge.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Worker threads; each has its own runtime, listeners and upstream connections.
    /// Default: the number of cores this process may use. Not changed by a reload.
    pub workers: NonZeroUsize,
    /// How long active requests may take to finish after SIGTERM. Default 30 s.
    pub drain: Duration,
    /// How long the edge serves on after SIGTERM, while it already reports that it is not ready, so that a load balancer
    /// notices before connections are refused. Default 0 s.
    pub drain_delay: Duration,
    /// Path of the Unix socket by which a new edge takes over the listening sockets of the one that runs; at most
    /// 107 bytes. Default none. Not changed by a reload.
    pub takeover: Option<PathBuf>,
    /// Address of the status page, metrics, liveness and readiness; `None` turns them off.
    /// Default 127.0.0.1:9901. Not changed by a reload.
    pub admin: Option<SocketAddr>,
    /// File with the token that an operator's orders to endpoints must carry; see [`token`](super::token). Default
    /// none, and every order is refused.
    pub admin_token_file: Option<PathBuf>,
    /// Destination of the access log, one line per request. Default off.
    pub access_log: AccessLog,
    /// How names of endpoints are resolved, unless a pool or an endpoint names another resolver.
    pub dns: Dns,
    /// Further resolvers by name; see [`Discovery::resolver`](super::Discovery::resolver). Default none.
    pub resolvers: BTreeMap<String, Dns>,
    /// How the nodes of a swarm are requested.
    pub swarm: Swarm,
    /// Addresses that clients connect to, at least one.
    pub listeners: Vec<Listener>,
    /// Which pool a request goes to, by host, then by the longest path prefix.
    pub routes: Vec<Route>,
    /// Groups of endpoints; a [`Route`] refers to one by its index here.
    pub pools: Vec<Arc<Pool>>,
    /// Limits on the resources that clients may use.
    pub limits: Limits,
    /// How long a client may take over each step.
    pub timeouts: Timeouts,
    /// Peers whose `X-Forwarded-*` and `Forwarded` fields are kept and extended; those of other clients are replaced.
    /// Default none.
    pub trusted_proxies: Vec<IpNet>,
}
