//! How evenly uncoordinated edges spread the load.

use std::{cmp::Reverse, collections::BinaryHeap};

use edge::{
    config::Balance,
    upstream::balance::{self, Candidates, Turns},
};
use fastrand::Rng;

use crate::{
    SEED, Size,
    simulation::{SECOND, Time},
    table::Table,
};

/// Requests per second to each replica, on average.
const RATE: f64 = 50.0;
/// The mean service time of a request, in microseconds. It is exponentially distributed.
const SERVICE: f64 = 10_000.0;
/// How long the load is measured, after a warm-up of one second.
const DURATION: Time = 4 * SECOND;

/// The load of the replicas.
struct Load {
    /// The most requests that any replica received in one second, divided by the mean.
    busiest: f64,
    /// The mean and maximum number of requests in flight at a replica, sampled a hundred times a second.
    in_flight: (f64, usize),
}

/// The replicas, by the number of requests that one edge has in flight at each.
struct Replicas<'a>(&'a [u64]);

impl Candidates for Replicas<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn is_excluded(&self, _replica: usize) -> bool {
        false
    }

    fn load(&self, replica: usize) -> u64 {
        self.0[replica]
    }
}

fn load(size: Size, policy: Balance) -> Load {
    let (replicas, mut rng) = (size.replicas(), Rng::with_seed(SEED));
    let mut turns: Vec<Turns> = (0..size.edges).map(|_| Turns::starting_at(rng.usize(..1 << 16))).collect();
    let mut by_edge = vec![vec![0_u64; replicas]; size.edges];
    let mut ends: BinaryHeap<Reverse<(Time, usize, usize)>> = BinaryHeap::new();
    let (mut now, mut hits, mut in_flight) = (0, vec![0_u64; replicas], vec![0_usize; replicas]);
    let (mut busiest, mut samples, mut sum, mut max) = (0_u64, 0_u64, 0_usize, 0_usize);
    let (mut next_second, mut next_sample) = (SECOND, SECOND);
    let chance = |rng: &mut Rng, mean: f64| (-(1.0 - rng.f64()).ln() * mean) as Time;
    let pause = SECOND as f64 / (RATE * replicas as f64);
    while now < SECOND + DURATION {
        now += chance(&mut rng, pause);
        while let Some(Reverse((_, edge, replica))) = ends.peek().copied().filter(|first| first.0.0 <= now) {
            ends.pop();
            by_edge[edge][replica] -= 1;
            in_flight[replica] -= 1;
        }
        // The first second is the warm-up.
        while next_second <= now {
            if next_second > SECOND {
                busiest = busiest.max(hits.iter().copied().max().unwrap_or_default());
            }
            hits.fill(0);
            next_second += SECOND;
        }
        if next_sample <= now {
            next_sample += SECOND / 100;
            samples += 1;
            sum += in_flight.iter().sum::<usize>();
            max = max.max(in_flight.iter().copied().max().unwrap_or_default());
        }
        let (edge, random) = (rng.usize(..size.edges), rng.u64(..));
        let picked = balance::pick(policy, &Replicas(&by_edge[edge]), Some(&mut turns[edge]), random, None);
        let Some(replica) = picked else { continue };
        by_edge[edge][replica] += 1;
        in_flight[replica] += 1;
        hits[replica] += 1;
        ends.push(Reverse((now + chance(&mut rng, SERVICE), edge, replica)));
    }
    Load { busiest: busiest as f64 / RATE, in_flight: (sum as f64 / (samples as f64 * replicas as f64), max) }
}

/// Each balance policy at each size.
#[must_use]
pub fn table() -> String {
    let mut table = Table::new(&[
        "nodes, edges",
        "balance",
        "busiest replica in a second / mean",
        "in flight at a replica, mean",
        "max",
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
                format!("{:.2}", load.busiest),
                format!("{:.2}", load.in_flight.0),
                load.in_flight.1.to_string(),
            ]);
        }
    }
    table.finish()
}
