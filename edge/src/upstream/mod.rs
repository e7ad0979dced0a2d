//! Discovers and checks endpoints, balances requests over them and connects to them.
//!
//! Data flows in one direction: `discovery -> pool -> Arc<PoolSnapshot> -> proxy::attempt`. The control thread makes
//! every decision. A worker reads a snapshot; it writes only its own counters and the outcome of an attempt
//! ([`Endpoint::succeeded`], [`Endpoint::failed`]), which the control thread reads, and since when an endpoint cannot be
//! reached ([`outage`]), which the other workers read.

pub mod balance;
pub mod connection;
pub mod discovery;
mod endpoint;
pub mod health;
pub mod idle_life;
pub mod manager;
mod member;
pub mod mesh;
pub mod order;
pub mod outage;
pub mod pool;
mod pool_state;
pub mod probation;
pub mod queue;
pub mod recovery;
pub mod retry_budget;
mod shortage;
pub mod slow_start;
mod snapshot;
pub mod sticky;
pub mod suspicion;
pub mod tiers;
pub mod traffic;
pub mod trial;

pub use self::{
    endpoint::{CheckStats, Endpoint, EndpointState, EndpointStatus, Flip, WEIGHT_UNIT},
    member::Member,
    snapshot::{PoolHandle, PoolSnapshot, SourceStats, SourceStatus},
};
