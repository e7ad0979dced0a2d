//! Edges that connect through the routing mesh instead of to replicas: the effect of a dead machine behind every node's
//! port.

use crate::{
    SEED, Size,
    simulation::{Condition, SECOND, Simulation, Tally, Time},
    table::{Table, percent},
};

/// How long the swarm takes to detect a dead machine. Its heartbeats have a grace period of about 15 s.
const DETECTION: Time = 20 * SECOND;
const SETTLE: Time = 5 * SECOND;
/// Longer than the longest wait for a response.
const AFTER: Time = 40 * SECOND;

/// What happened until the swarm detected the failure.
struct Outcome {
    tally: Tally,
    /// The share of pairs of an edge and a living endpoint that the edge stopped using for a while.
    misjudged: f64,
}

/// Runs a simulation in which the first `dead` of `endpoints` have died.
fn outcome(mut simulation: Simulation, dead: usize, endpoints: usize) -> Outcome {
    let edges = simulation.edges();
    let mut misjudged = vec![false; edges * endpoints];
    let end = simulation.now() + DETECTION;
    // Any event may change any endpoint of an edge. Sampling is cheaper than looking at all of them after each event.
    while simulation.now() < end {
        simulation.run(SECOND / 10);
        for edge in 0..edges {
            for endpoint in dead..endpoints {
                misjudged[edge * endpoints + endpoint] |= !simulation.is_used(edge, endpoint);
            }
        }
    }
    // The swarm has detected the failure. Waiting requests still get a response or give up.
    simulation.stop_misrouting();
    simulation.stop_load();
    simulation.run(AFTER);
    let pairs = edges * (endpoints - dead);
    let misjudged = misjudged.iter().filter(|misjudged| **misjudged).count() as f64 / pairs as f64;
    Outcome { tally: simulation.take_tally(), misjudged }
}

/// One machine dies, under the same load directly to the replicas and through the mesh.
#[must_use]
pub fn table() -> String {
    let mut table = Table::new(&[
        "nodes, edges",
        "edges connect to",
        "slow requests until the swarm detects it",
        "lost",
        "longest wait, s",
        "living endpoints considered dead",
    ]);
    for size in [Size::ALL[0], Size::ALL[1], Size::ALL[3]] {
        let load = 20.0 * size.nodes as f64;
        let mut direct = Simulation::new(size.edges, size.replicas(), SEED);
        direct.run(SETTLE);
        direct.load(load);
        (0..2).for_each(|replica| direct.set(replica, Condition::Silent));

        let mut mesh = Simulation::new(size.edges, size.nodes, SEED);
        mesh.run(SETTLE);
        mesh.load(load);
        mesh.set(0, Condition::Silent);
        mesh.misroute(1.0 / size.nodes as f64);

        for (what, outcome) in
            [("replicas", outcome(direct, 2, size.replicas())), ("nodes' ports", outcome(mesh, 1, size.nodes))]
        {
            let requests = outcome.tally.requests as f64;
            table.row(&[
                format!("{}, {}", size.nodes, size.edges),
                what.to_owned(),
                percent(outcome.tally.slow as f64 / requests),
                percent(outcome.tally.failed as f64 / requests),
                format!("{:.1}", outcome.tally.longest as f64 / SECOND as f64),
                percent(outcome.misjudged),
            ]);
        }
    }
    table.finish()
}
