//! A real Docker Swarm of three engines on one Linux machine.
//!
//! Everything runs in namespaces that only its own processes hold ([`namespaces`]). Three hosts ([`host`]) are
//! connected by a bridge ([`fabric`]); each has its own engine, processes, `/run` and disk. A host loses power when the
//! first of its processes is killed: the kernel then ends all others, and removes mounts, networks and sockets at once.
//! The same happens to all hosts when the test is killed.
//!
//! ```text
//! the machine's own network    the engine that builds images, and fetches crates
//!   fabric, 10.10.25.1         the test with its clients, public DNS, the stand-in for Docker Hub
//!     serveur17  .165          an engine, its containers
//!     serveur18  .166
//!     serveur19  .167
//! ```
//!
//! The engines, their overlay networks, DNS and scheduler are real. Features that the kernel lacks are replaced or left
//! out, and the test says so ([`kernel`]): without IPVS, [`mesh`] balances connections by the engines' own tables;
//! without ESP, the stack's inner network is not encrypted.

pub mod checker;
pub mod cluster;
pub mod docker;
pub mod fabric;
pub mod host;
pub mod hub;
pub mod inboxes;
pub mod kernel;
pub mod mesh;
pub mod messages;
pub mod namespaces;
pub mod page;
pub mod project;
pub mod shell;
pub mod store;
pub mod table;
