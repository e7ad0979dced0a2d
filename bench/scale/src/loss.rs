//! Machines and processes die: how long until no edge uses them, and what visitors see of it.

use crate::{
    SEED, Size,
    table::{Table, number, percent},
    world::{Fate, SECOND, Tally, Time, World},
};

/// Long enough for all checks to have spread.
const SETTLE: Time = 4 * SECOND;
/// Long enough for the last request that waits for a dead endpoint.
const WATCH: Time = 10 * SECOND;

/// When edges no longer used what is dead.
#[derive(Clone, Copy, Debug, Default)]
struct Out {
    first: Option<Time>,
    last: Option<Time>,
}

/// Runs for so long, and notes when edges no longer used these endpoints.
fn until_out(world: &mut World, dead: &[usize], duration: Time) -> Out {
    let (began, edges) = (world.now(), world.edges());
    let end = began + duration;
    let (mut out, mut done, mut count) = (Out::default(), vec![false; edges], 0);
    out.last = world.run_until(end, |world, edge| {
        if !done[edge] && dead.iter().all(|endpoint| !world.is_used(edge, *endpoint)) {
            done[edge] = true;
            count += 1;
            out.first.get_or_insert(world.now() - began);
        }
        count == edges
    });
    world.run_until(end, |_, _| false);
    out
}

fn seconds(time: Option<Time>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{:.1}", time as f64 / SECOND as f64))
}

/// One machine, with its two replicas, or their processes.
#[must_use]
pub fn machine() -> String {
    let mut table = Table::new(&[
        "nodes, edges",
        "requests/s",
        "dies",
        "unused by the first edge, s",
        "by all, s",
        "requests that met it",
        "of them lost",
        "longest wait, s",
    ]);
    for size in Size::ALL {
        for per_second in [10.0, 50.0 * size.replicas() as f64] {
            for (what, fate) in [("machine", Fate::Silent), ("process", Fate::Refused)] {
                let mut world = World::new(size.edges, size.replicas(), SEED);
                world.run(SETTLE);
                world.load(per_second);
                (0..2).for_each(|replica| world.set(replica, fate));
                let out = until_out(&mut world, &[0, 1], WATCH);
                let Tally { met, failed, longest, .. } = world.tally;
                table.row(&[
                    format!("{}, {}", size.nodes, size.edges),
                    number(per_second),
                    what.to_owned(),
                    seconds(out.first),
                    seconds(out.last),
                    met.to_string(),
                    failed.to_string(),
                    seconds(Some(longest)),
                ]);
            }
        }
    }
    table.finish()
}

/// Many machines at once.
#[must_use]
pub fn many() -> String {
    let mut table = Table::new(&[
        "machines that die",
        "unused by all edges, s",
        "panic",
        "first 10 s: slow",
        "lost",
        "then: slow",
        "lost",
    ]);
    let sizes = [(Size::ALL[0], &[1, 2][..]), (Size::ALL[3], &[30, 150, 200, 209, 211, 270])];
    for (size, deaths) in sizes {
        for dead in deaths {
            let mut world = World::new(size.edges, size.replicas(), SEED);
            world.run(SETTLE);
            world.load(10.0 * size.replicas() as f64);
            // Anywhere, not the lowest addresses.
            let mut replicas: Vec<usize> = (0..size.replicas()).collect();
            fastrand::Rng::with_seed(SEED).shuffle(&mut replicas);
            let dead = &replicas[..2 * dead];
            dead.iter().for_each(|replica| world.set(*replica, Fate::Silent));
            let mut windows = Vec::new();
            let out = until_out(&mut world, dead, 10 * SECOND);
            windows.push(std::mem::take(&mut world.tally));
            world.run(10 * SECOND);
            windows.push(std::mem::take(&mut world.tally));
            let panic = (0..size.edges).filter(|edge| world.is_panic(*edge)).count();
            let share = |part: u64, tally: &Tally| percent(part as f64 / tally.requests as f64);
            table.row(&[
                format!("{} of {}", dead.len() / 2, size.nodes),
                seconds(out.last),
                if panic == 0 { "no".to_owned() } else { format!("{panic} of {} edges", size.edges) },
                share(windows[0].met, &windows[0]),
                share(windows[0].failed, &windows[0]),
                share(windows[1].met, &windows[1]),
                share(windows[1].failed, &windows[1]),
            ]);
        }
    }
    table.finish()
}
