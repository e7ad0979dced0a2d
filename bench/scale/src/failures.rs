//! Machines and processes die: how long until no edge uses them, and how visitors are affected.

use crate::{
    SEED, Size,
    simulation::{Condition, SECOND, Simulation, Tally, Time},
    table::{Table, number, percent},
};

/// Long enough for the checks to spread over their interval.
const SETTLE: Time = 4 * SECOND;
/// Long enough for the last request that waits on a dead endpoint.
const WATCH: Time = 10 * SECOND;

/// When edges stopped using the dead endpoints: the first edge, and the last.
#[derive(Clone, Copy, Debug, Default)]
struct Out {
    first: Option<Time>,
    last: Option<Time>,
}

/// Runs for `duration`. Returns when edges stopped using the endpoints in `dead`.
fn until_out(simulation: &mut Simulation, dead: &[usize], duration: Time) -> Out {
    let (began, edges) = (simulation.now(), simulation.edges());
    let end = began + duration;
    let (mut out, mut done, mut count) = (Out::default(), vec![false; edges], 0);
    out.last = simulation.run_until(end, |simulation, edge| {
        if !done[edge] && dead.iter().all(|endpoint| !simulation.is_used(edge, *endpoint)) {
            done[edge] = true;
            count += 1;
            out.first.get_or_insert(simulation.now() - began);
        }
        count == edges
    });
    simulation.run_until(end, |_, _| false);
    out
}

fn seconds(time: Option<Time>) -> String {
    time.map_or_else(|| "never".to_owned(), |time| format!("{:.1}", time as f64 / SECOND as f64))
}

/// One machine with its two replicas dies, or only their processes.
#[must_use]
pub fn machine() -> String {
    let mut table = Table::new(&[
        "nodes, edges",
        "requests/s",
        "failure",
        "unused by the first edge, s",
        "by all, s",
        "slow requests",
        "lost",
        "longest wait, s",
    ]);
    for size in Size::ALL {
        for per_second in [10.0, 50.0 * size.replicas() as f64] {
            for (what, condition) in [("machine", Condition::Silent), ("process", Condition::Refusing)] {
                let mut simulation = Simulation::new(size.edges, size.replicas(), SEED);
                simulation.run(SETTLE);
                simulation.load(per_second);
                (0..2).for_each(|replica| simulation.set(replica, condition));
                let out = until_out(&mut simulation, &[0, 1], WATCH);
                let Tally { slow, failed, longest, .. } = simulation.take_tally();
                table.row(&[
                    format!("{}, {}", size.nodes, size.edges),
                    number(per_second),
                    what.to_owned(),
                    seconds(out.first),
                    seconds(out.last),
                    slow.to_string(),
                    failed.to_string(),
                    seconds(Some(longest)),
                ]);
            }
        }
    }
    table.finish()
}

/// Many machines die at once.
#[must_use]
pub fn many() -> String {
    let mut table = Table::new(&[
        "dead machines",
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
            let mut simulation = Simulation::new(size.edges, size.replicas(), SEED);
            simulation.run(SETTLE);
            simulation.load(10.0 * size.replicas() as f64);
            // Random addresses, because the lowest ones might be a special case.
            let mut replicas: Vec<usize> = (0..size.replicas()).collect();
            fastrand::Rng::with_seed(SEED).shuffle(&mut replicas);
            let dead = &replicas[..2 * dead];
            dead.iter().for_each(|replica| simulation.set(*replica, Condition::Silent));
            let mut windows = Vec::new();
            let out = until_out(&mut simulation, dead, 10 * SECOND);
            windows.push(simulation.take_tally());
            simulation.run(10 * SECOND);
            windows.push(simulation.take_tally());
            let panic = (0..size.edges).filter(|edge| simulation.is_panic(*edge)).count();
            let share = |part: u64, tally: &Tally| percent(part as f64 / tally.requests as f64);
            table.row(&[
                format!("{} of {}", dead.len() / 2, size.nodes),
                seconds(out.last),
                if panic == 0 { "no".to_owned() } else { format!("{panic} of {} edges", size.edges) },
                share(windows[0].slow, &windows[0]),
                share(windows[0].failed, &windows[0]),
                share(windows[1].slow, &windows[1]),
                share(windows[1].failed, &windows[1]),
            ]);
        }
    }
    table.finish()
}
