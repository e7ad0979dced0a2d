//! The system sizes that the tables compare.

/// The seed of every simulation.
pub const SEED: u64 = 1;

/// A system size.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The number of machines in the swarm.
    pub nodes: usize,
    /// The number of edges.
    pub edges: usize,
}

impl Size {
    /// The sizes that the tables compare.
    pub const ALL: [Self; 5] =
        [Self::new(3, 3), Self::new(30, 10), Self::new(30, 30), Self::new(300, 10), Self::new(300, 300)];

    const fn new(nodes: usize, edges: usize) -> Self {
        Self { nodes, edges }
    }

    /// The number of replicas of web: two per node, as in stack.yml.
    #[must_use]
    pub const fn replicas(self) -> usize {
        2 * self.nodes
    }
}
