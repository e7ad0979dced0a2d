//! How the design behaves with 3, 30 and 300 nodes.
//!
//! [`paper`] has what a formula tells: traffic, connections, memory, addresses. The rest is a simulation of
//! edges that know nothing of each other. What they decide is the edge's own code, called as it is: rise and
//! fall, ejection, the panic threshold, who gets the next request, how long to pause. [`view`] puts these
//! together as `edge/src/upstream/members` and `health/watch.rs` do, [`world`] is the network around them with a
//! queue of events in place of time, and the other modules ask it questions.
//!
//! Everything comes from a seed: the same code prints the same tables, and a test compares them with those in
//! docs/scale.md.

pub mod herd;
pub mod loss;
pub mod mesh;
pub mod page;
pub mod paper;
pub mod spread;
pub mod table;
pub mod view;
pub mod world;

/// Seed of every simulation.
pub const SEED: u64 = 1;

/// Nodes, edges and replicas of one size of the system.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Machines of the swarm.
    pub nodes: usize,
    /// Edges.
    pub edges: usize,
}

impl Size {
    /// What the tables compare.
    pub const ALL: [Self; 5] =
        [Self::new(3, 3), Self::new(30, 10), Self::new(30, 30), Self::new(300, 10), Self::new(300, 300)];

    const fn new(nodes: usize, edges: usize) -> Self {
        Self { nodes, edges }
    }

    /// Replicas of web: two for each node, as in stack.yml.
    #[must_use]
    pub const fn replicas(self) -> usize {
        2 * self.nodes
    }
}

/// A table's name, and what makes it.
pub type Entry = (&'static str, fn() -> String);

/// All tables by name, in the order of the page.
pub const TABLES: &[Entry] = &[
    ("rest", paper::rest),
    ("count", paper::count),
    ("machine", loss::machine),
    ("many", loss::many),
    ("mesh", mesh::table),
    ("spread", spread::table),
    ("herd", herd::table),
];
