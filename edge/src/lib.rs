//! A reverse proxy for every public address of a small cluster.
//!
//! # Modules
//!
//! A request passes through the modules in this order, and each module imports only from those to its right:
//! [`program`] > [`control`] > [`downstream`] > [`proxy`] > [`worker`] > [`upstream`] > [`filters`] > [`protocol`], [`observe`] >
//! [`config`], [`io`]. [`dns_check`] and [`admin`] are just above [`downstream`]; every module may use
//! [`error`] and [`route`].
//!
//! # Life of a request
//!
//! A worker's [`downstream::listener`] accepts the connection. [`downstream::connection`] does TLS and detects the
//! protocol, [`downstream::http1`] or [`downstream::http2`] reads requests, and [`worker::client_activity`] decides
//! when a client times out. [`protocol::h1`] parses a head, [`proxy::prepare`] checks it, [`route`] names the pool, and
//! [`protocol::headers`] writes the head that goes upstream.
//!
//! Then [`proxy::attempt::send`] makes attempts. [`upstream::balance`] picks an endpoint of the newest
//! [`upstream::PoolSnapshot`], [`upstream::connection::pool`] provides an idle connection to it or
//! [`upstream::connection`] opens one, and [`upstream::connection::body_writer`] sends the request. If the endpoint
//! fails and the request may be sent again, the next endpoint gets it.
//!
//! Bodies pass through an [`io::buffer`], or through a pipe of [`io::splice`] if they are long. [`downstream::tunnel`]
//! takes over after a 101. [`proxy::respond`] has the one table from an [`error`] to a status, and
//! [`proxy::request_record`] reports the outcome to [`observe::stats`] and [`observe::access_log`].
//!
//! # Life of an endpoint
//!
//! On the control thread [`upstream::manager`] resolves names, checks endpoints and ejects those that fail real
//! requests. It publishes each change as one immutable snapshot, which workers read and never write.
//!
//! # Threads
//!
//! [`control`] owns everything that decides: configuration, names, health, certificates, the [`admin`] listener. A
//! [`worker`] owns its sockets, its client connections and its upstream connections. On a request's path it shares
//! nothing with other workers but snapshots to read.
//!
//! Only [`program`], which is the whole process, reads the environment or exits. The only globals are the counters that
//! number endpoints and pipes, so any number of edges can run in one process.

pub mod admin;
pub mod config;
pub mod control;
pub mod dns_check;
pub mod downstream;
pub mod error;
pub mod filters;
pub mod io;
pub mod observe;
pub mod program;
pub mod protocol;
pub mod proxy;
pub mod route;
pub mod upstream;
pub mod worker;
