//! The sizes of the system that the tables compare.

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
