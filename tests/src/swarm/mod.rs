//! A real Docker Swarm of three engines on one Linux machine, and what a test does to it.
//!
//! Everything runs in namespaces that nothing but their processes hold ([`namespaces`]): a [`fabric`] with a bridge, on
//! it three hosts ([`host`]), each with an engine, a process space, a `/run` and a disk of its own. A host loses
//! power when the first of its processes is killed: the kernel then ends all others and takes mounts, networks
//! and sockets away at once. The same holds for the whole rig when the test is killed.
//!
//! ```text
//! the machine's own network    the builder's engine, which may fetch crates
//!   fabric, 10.10.25.1         the test with its clients, DNS for the world, what stands for Docker's own registry
//!     serveur17  .165          an engine, its containers
//!     serveur18  .166
//!     serveur19  .167
//! ```
//!
//! The engines, their overlay networks, their DNS and their scheduler are real. What a kernel lacks is replaced or
//! left out, and the test says so ([`kernel`]): without IPVS, [`mesh`] does its part of the routing mesh by the
//! engines' own tables; without ESP the stack's inner network is not encrypted.

pub mod checker;
pub mod cluster;
pub mod docker;
pub mod fabric;
pub mod host;
pub mod hub;
pub mod inboxes;
pub mod kernel;
pub mod mesh;
pub mod namespaces;
pub mod page;
pub mod project;
pub mod shell;
pub mod store;
pub mod table;
