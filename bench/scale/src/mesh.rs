//! Through the mesh instead of to the replicas: the effect of a dead machine behind every node's port.

use crate::{
    SEED, Size,
    table::{Table, percent},
    world::{Fate, SECOND, Tally, Time, World},
};

/// How long the swarm takes to find a dead machine: its heartbeats have a grace period of some 15 s.
const SWARM: Time = 20 * SECOND;
const SETTLE: Time = 5 * SECOND;
/// Longer than the longest wait for a response.
const AFTER: Time = 40 * SECOND;

/// What happened until the swarm noticed.
struct Seen {
    tally: Tally,
    /// Pairs of an edge and a living endpoint that was unused for a while, as a share of all such pairs.
    wronged: f64,
}

fn seen(mut world: World, dead: usize, endpoints: usize) -> Seen {
    let edges = world.edges();
    let mut wronged = vec![false; edges * endpoints];
    let end = world.now() + SWARM;
    // Each check or failure of an edge may be of any of its endpoints: look at all, but not at each event.
    while world.now() < end {
        world.run(SECOND / 10);
        for edge in 0..edges {
            for endpoint in dead..endpoints {
                wronged[edge * endpoints + endpoint] |= !world.is_used(edge, endpoint);
            }
        }
    }
    // The swarm has noticed; requests that wait are still answered or given up.
    world.unstrand();
    world.unload();
    world.run(AFTER);
    let pairs = edges * (endpoints - dead);
    Seen { tally: world.tally, wronged: wronged.iter().filter(|wronged| **wronged).count() as f64 / pairs as f64 }
}

/// One machine dies: the same load to the replicas, and through the mesh.
#[must_use]
pub fn table() -> String {
    let mut table = Table::new(&[
        "nodes, edges",
        "edges go to",
        "requests slow until the swarm knows",
        "lost",
        "longest wait, s",
        "living endpoints taken for dead",
    ]);
    for size in [Size::ALL[0], Size::ALL[1], Size::ALL[3]] {
        let load = 20.0 * size.nodes as f64;
        let mut direct = World::new(size.edges, size.replicas(), SEED);
        direct.run(SETTLE);
        direct.load(load);
        (0..2).for_each(|replica| direct.set(replica, Fate::Silent));

        let mut mesh = World::new(size.edges, size.nodes, SEED);
        mesh.run(SETTLE);
        mesh.load(load);
        mesh.set(0, Fate::Silent);
        mesh.strand(1.0 / size.nodes as f64);

        for (what, seen) in
            [("replicas", seen(direct, 2, size.replicas())), ("nodes' ports", seen(mesh, 1, size.nodes))]
        {
            let requests = seen.tally.requests as f64;
            table.row(&[
                format!("{}, {}", size.nodes, size.edges),
                what.to_owned(),
                percent(seen.tally.met as f64 / requests),
                percent(seen.tally.failed as f64 / requests),
                format!("{:.1}", seen.tally.longest as f64 / SECOND as f64),
                percent(seen.wronged),
            ]);
        }
    }
    table.finish()
}
