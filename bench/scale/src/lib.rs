//! The design with 3, 30 and 300 nodes.
//!
//! [`formulas`] computes traffic, connections, memory and addresses. The rest simulates edges that do not coordinate.
//! Decisions are made by the edge's own code: rise and fall, ejection, the panic threshold, balancing, the delays
//! between checks. [`view`] combines these decisions as `edge/src/upstream/pool_state` and `health/watch.rs` do.
//! [`simulation`] is the network around the edges, with a queue of events in place of time. The other modules run it
//! and make the tables.
//!
//! The simulation is seeded: the same code prints the same tables. A test compares them with docs/scale.md.

pub mod failures;
pub mod formulas;
pub mod herd;
pub mod mesh;
pub mod page;
pub mod simulation;
mod size;
pub mod spread;
pub mod table;
mod tables;
pub mod view;

pub use self::size::{SEED, Size};
pub use self::tables::{Entry, TABLES};
