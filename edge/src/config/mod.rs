//! The configuration of an edge, parsed and checked.
//!
//! Every value is valid: an address is an address, a pool that a route names exists, a duration is positive. No other
//! module looks up a setting by name or discovers an invalid one at request time. [`mod@file`] parses the file and
//! [`flags`] the command line. Both build a [`Config`] and take missing settings from [`defaults`].

mod access_log;
pub(crate) mod address;
pub mod defaults;
mod discovery;
pub mod file;
pub mod flags;
mod health;
mod limits;
mod listener;
pub mod memory;
mod pool;
pub mod problem;
mod root;
mod route;
pub mod rules;
mod source;
mod sticky;
pub mod template;
pub mod token;
pub(crate) mod value;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod reference;

pub(crate) use self::source::{FILE, SERVICES, SWARM};
pub use self::{
    access_log::AccessLog,
    discovery::{Discovery, Dns, Interval, NameServer, Swarm, Transport},
    health::{Ejection, Expect, HealthCheck, Protocol, TlsCheck, Trust, behind_mesh},
    limits::{Limits, Timeouts},
    listener::{CertificateFiles, Listener, Tls},
    pool::{Balance, Drain, HashKey, Pool, UpstreamTimeouts, ties_requests},
    root::Config,
    route::{HostMatch, Route},
    source::{BACKUP, EndpointOptions, MAX_TIER, MAX_WEIGHT, Source},
    sticky::{SameSite, Sticky},
};
