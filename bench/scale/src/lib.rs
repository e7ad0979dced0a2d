//! How the design behaves with 3, 30 and 300 nodes.
//!
//! [`paper`] has what a formula tells: traffic, connections, memory, addresses. The rest is a simulation of
//! edges that know nothing of each other. What they decide is the edge's own code, called as it is: rise and
//! fall, ejection, the panic threshold, who gets the next request, how long to pause. [`view`] puts these
//! together as `edge/src/upstream/pool_state` and `health/watch.rs` do, [`world`] is the network around them with a
//! queue of events in place of time, and the other modules ask it questions.
//!
//! Everything comes from a seed: the same code prints the same tables, and a test compares them with those in
//! docs/scale.md.

pub mod herd;
pub mod loss;
pub mod mesh;
pub mod page;
pub mod paper;
mod size;
pub mod spread;
pub mod table;
mod tables;
pub mod view;
pub mod world;

pub use self::size::{SEED, Size};
pub use self::tables::{Entry, TABLES};
