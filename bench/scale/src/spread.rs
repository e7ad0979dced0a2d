//! How even the load is when edges balance without knowing of each other.

use std::{cmp::Reverse, collections::BinaryHeap};

use edge::{config::Balance, upstream::balance};
use fastrand::Rng;

use crate::{SEED, Size, table::Table, world::Time};

/// Requests for each replica and second.
const RATE: f64 = 50.0;
/// The mean time that a replica takes for a request, as chance has it.
const SERVICE: f64 = 10_000.0;
const SECOND: Time = 1_000_000;
const SECONDS: Time = 4;

/// What the replicas got.
struct Load {
    /// Requests of one second: the most at any replica, over the mean.
    most: f64,
    /// Requests under way at one replica, looked at a hundred times a second: the mean and the most.
    under_way: (f64, usize),
}

fn load(size: Size, policy: Balance) -> Load {
    let (replicas, mut rng) = (size.replicas(), Rng::with_seed(SEED));
    let mut cursors: Vec<usize> = (0..size.edges).map(|_| rng.usize(..1 << 16)).collect();
    let mut in_flight = vec![vec![0_u64; replicas]; size.edges];
    let mut ends: BinaryHeap<Reverse<(Time, usize, usize)>> = BinaryHeap::new();
    let (mut now, mut hits, mut under_way) = (0, vec![0_u64; replicas], vec![0_usize; replicas]);
    let (mut most, mut looks, mut sum, mut deepest) = (0_u64, 0_u64, 0_usize, 0_usize);
    let (mut second, mut look) = (SECOND, SECOND);
    let chance = |rng: &mut Rng, mean: f64| (-(1.0 - rng.f64()).ln() * mean) as Time;
    let pause = SECOND as f64 / (RATE * replicas as f64);
    while now < (SECONDS + 1) * SECOND {
        now += chance(&mut rng, pause);
        while let Some(Reverse((_, edge, replica))) = ends.peek().copied().filter(|first| first.0.0 <= now) {
            ends.pop();
            in_flight[edge][replica] -= 1;
            under_way[replica] -= 1;
        }
        // The first second fills the queues.
        while second <= now {
            if second > SECOND {
                most = most.max(hits.iter().copied().max().unwrap_or_default());
            }
            hits.fill(0);
            second += SECOND;
        }
        if look <= now {
            look += SECOND / 100;
            looks += 1;
            sum += under_way.iter().sum::<usize>();
            deepest = deepest.max(under_way.iter().copied().max().unwrap_or_default());
        }
        let (edge, random) = (rng.usize(..size.edges), rng.u64(..));
        let loads = &in_flight[edge];
        let picked = balance::pick(policy, replicas, Some(&mut cursors[edge]), random, |one| loads[one], |_| false);
        let Some(replica) = picked else { continue };
        in_flight[edge][replica] += 1;
        under_way[replica] += 1;
        hits[replica] += 1;
        ends.push(Reverse((now + chance(&mut rng, SERVICE), edge, replica)));
    }
    Load { most: most as f64 / RATE, under_way: (sum as f64 / (looks as f64 * replicas as f64), deepest) }
}

/// Each policy at each size.
#[must_use]
pub fn table() -> String {
    let mut table = Table::new(&[
        "nodes, edges",
        "balance",
        "busiest replica in a second, of the mean",
        "under way at a replica, mean",
        "most",
    ]);
    for size in Size::ALL {
        for (name, policy) in [
            ("round_robin", Balance::RoundRobin),
            ("least_requests", Balance::LeastRequests),
            ("random", Balance::Random),
        ] {
            let load = load(size, policy);
            table.row(&[
                format!("{}, {}", size.nodes, size.edges),
                name.to_owned(),
                format!("{:.2}", load.most),
                format!("{:.2}", load.under_way.0),
                load.under_way.1.to_string(),
            ]);
        }
    }
    table.finish()
}
