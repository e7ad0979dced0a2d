//! Whether checks of edges that know nothing of each other come all at once.

use crate::{
    SEED, Size,
    table::{Table, number},
    world::{Fate, SECOND, Time, World},
};

const BIN: Time = SECOND / 10;

/// The checks of a tenth of a second: at one replica and by one edge, mean and most.
struct Crowd {
    replica: (f64, usize),
    edge: (f64, usize),
}

fn crowd(checks: &[(Time, usize, usize)], from: Time, to: Time, size: Size) -> Crowd {
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
    Crowd { replica: (mean(size.replicas()), most(&replicas)), edge: (mean(size.edges), most(&edges)) }
}

/// Everybody starts at once; then the count stops for four seconds, as when its master dies, and every replica
/// says that it is not ready.
#[must_use]
pub fn table() -> String {
    let mut table = Table::new(&[
        "nodes, edges",
        "when",
        "checks of a replica in 0.1 s, mean",
        "most",
        "checks by an edge in 0.1 s, mean",
        "most",
    ]);
    for size in [Size::ALL[0], Size::ALL[1], Size::ALL[3]] {
        let mut world = World::new(size.edges, size.replicas(), SEED);
        world.checks = Some(Vec::new());
        world.run(20 * SECOND);
        (0..size.replicas()).for_each(|replica| world.set(replica, Fate::Unready));
        world.run(4 * SECOND);
        (0..size.replicas()).for_each(|replica| world.set(replica, Fate::Alive));
        world.run(16 * SECOND);
        let checks = world.checks.take().unwrap_or_default();
        for (when, from, to) in [
            ("all start", 0, BIN),
            ("at rest", 5, 20),
            ("no count", 20, 24),
            ("it is back", 24, 28),
            ("at rest again", 30, 40),
        ] {
            let to = if to == BIN { BIN } else { to * SECOND };
            let Crowd { replica, edge } = crowd(&checks, from * SECOND, to, size);
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
