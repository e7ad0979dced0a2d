//! Whether the checks of uncoordinated edges synchronize ("thundering herd").

use crate::{
    SEED, Size,
    simulation::{Condition, SECOND, Simulation, Time},
    table::{Table, number},
};

/// The width of a bin.
const BIN: Time = SECOND / 10;

/// The mean and maximum number of checks in a bin.
struct CheckLoad {
    /// Of one replica.
    replica: (f64, usize),
    /// By one edge.
    edge: (f64, usize),
}

fn check_load(checks: &[(Time, usize, usize)], from: Time, to: Time, size: Size) -> CheckLoad {
    let bins = usize::try_from((to - from) / BIN).unwrap_or(1);
    let (mut replicas, mut edges) = (vec![0_usize; bins * size.replicas()], vec![0_usize; bins * size.edges]);
    let mut all = 0;
    for (at, edge, replica) in checks.iter().filter(|check| (from..to).contains(&check.0)) {
        let bin = usize::try_from((at - from) / BIN).unwrap_or_default();
        replicas[bin * size.replicas() + replica] += 1;
        edges[bin * size.edges + edge] += 1;
        all += 1;
    }
    let mean = |of: usize| f64::from(all) / (bins * of) as f64;
    let most = |counts: &[usize]| counts.iter().copied().max().unwrap_or_default();
    CheckLoad { replica: (mean(size.replicas()), most(&replicas)), edge: (mean(size.edges), most(&edges)) }
}

/// All edges start at once. After 20 s all replicas report for 4 s that they are not ready, as when the master of the
/// count fails.
#[must_use]
pub fn table() -> String {
    let mut table = Table::new(&[
        "nodes, edges",
        "when",
        "checks of a replica in 0.1 s, mean",
        "max",
        "checks by an edge in 0.1 s, mean",
        "max",
    ]);
    for size in [Size::ALL[0], Size::ALL[1], Size::ALL[3]] {
        let mut simulation = Simulation::new(size.edges, size.replicas(), SEED);
        simulation.record_checks();
        simulation.run(20 * SECOND);
        (0..size.replicas()).for_each(|replica| simulation.set(replica, Condition::Unready));
        simulation.run(4 * SECOND);
        (0..size.replicas()).for_each(|replica| simulation.set(replica, Condition::Alive));
        simulation.run(16 * SECOND);
        let checks = simulation.take_checks();
        for (when, from, to) in [
            ("start", 0, BIN),
            ("at rest", 5, 20),
            ("count stopped", 20, 24),
            ("count resumed", 24, 28),
            ("at rest again", 30, 40),
        ] {
            let to = if to == BIN { BIN } else { to * SECOND };
            let CheckLoad { replica, edge } = check_load(&checks, from * SECOND, to, size);
            table.row(&[
                format!("{}, {}", size.nodes, size.edges),
                when.to_owned(),
                number(replica.0),
                replica.1.to_string(),
                number(edge.0),
                edge.1.to_string(),
            ]);
        }
    }
    table.finish()
}
