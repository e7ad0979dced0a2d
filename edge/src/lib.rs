//! A reverse proxy for every public address of a small cluster.
//!
//! # Life of a request
//!
//! A worker's [`listener`] accepts the connection; [`http`] does TLS and learns the protocol, [`http1`]
//! or [`http2`] reads requests, and [`downstream`] knows when patience ends. [`h1`] takes a head apart,
//! [`forward::prepare`] checks it, [`route`] names the pool, [`headers`] writes the head that goes
//! upstream. Then [`forward::send`]: [`balance`] picks an endpoint of the newest
//! [`upstream::PoolSnapshot`], [`upstream::idle`] has a connection to it or [`upstream::connection`]
//! opens one, and [`upstream::upload`] sends the request; if the endpoint fails and the request may be
//! sent again, the next endpoint gets it. Bodies pass through a [`mod@buffer`], or a pipe of [`mod@splice`] if
//! they are long; [`upgrade`] takes over after a 101, [`respond`] is the one table from an [`error`] to a
//! status, and [`account`] tells the counters in [`stats`] and the [`access_log`] how it went.
//!
//! # Life of an endpoint
//!
//! On the control thread [`upstream::manager`] asks names, checks endpoints and ejects those that fail
//! real requests; each change becomes one immutable snapshot, which workers read and never write.
//!
//! # Threads
//!
//! [`control`] owns everything that decides: configuration, names, health, certificates, the [`admin`]
//! listener. A [`worker`] owns its sockets, its client connections and its upstream connections, and
//! shares nothing with other workers on a request's path but snapshots to read.
//!
//! Nothing here reads the environment, exits, or keeps a global beside the numbering of endpoints and of pipes: any
//! number of edges can run in one process. The one exception is [`program`], which is the whole process.

pub mod access_log;
pub mod account;
pub mod admin;
pub mod balance;
pub mod buffer;
pub mod clock;
pub mod config;
pub mod control;
pub mod crew;
pub mod deadline;
pub mod dns_check;
pub mod downstream;
pub mod error;
pub mod forward;
pub mod gather;
pub mod h1;
pub mod headers;
pub mod heartbeat;
pub mod hops;
pub mod http;
pub mod http1;
pub mod http2;
pub mod listener;
pub mod meter;
pub mod program;
pub mod respond;
pub mod route;
pub mod snapshot;
pub mod splice;
pub mod stats;
pub mod tls;
pub mod upgrade;
pub mod upstream;
pub mod worker;
