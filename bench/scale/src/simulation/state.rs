//! Edges, endpoints and the network between them: the state that checks and requests share.

use std::time::Duration;

use edge::config::Pool;
use fastrand::Rng;
use tokio::time::Instant;

use super::{queue::Queue, time::Time};
use crate::view::View;

/// The condition of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It responds.
    Alive,
    /// It serves requests, but fails its checks.
    Unready,
    /// Its machine is dead: packets to it get no response.
    Silent,
    /// Its process is dead: connections are refused.
    Refusing,
}

/// The shared state.
#[derive(Debug)]
pub(super) struct State {
    /// The settings of every edge's pool.
    pub(super) pool: Pool,
    pub(super) edges: Vec<Edge>,
    /// The condition of each endpoint.
    pub(super) conditions: Vec<Condition>,
    /// The probability that a new connection to a living endpoint leads to a dead replica behind it.
    pub(super) misrouted: f64,
    pub(super) queue: Queue,
    pub(super) rng: Rng,
    /// The instant of time 0, for the edge's own code.
    base: Instant,
}

/// One edge.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) view: View,
    /// The checks of each endpoint.
    pub(super) checks: Vec<Check>,
    /// The idle connection to each endpoint.
    pub(super) idle: Vec<Idle>,
}

/// The timing of one endpoint's checks: the state of the edge's `check_repeatedly` between two awaits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Check {
    pub(super) due: Time,
    /// When the last check ended.
    pub(super) last: Option<Time>,
    /// The ticket of the only valid event in the queue.
    pub(super) ticket: u64,
    pub(super) running: bool,
    /// Whether a request failed while a check was running.
    pub(super) hurry: bool,
}

/// An idle connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Idle {
    #[default]
    None,
    Good,
    /// The peer is dead.
    Dead,
}

impl State {
    /// Edges that know `endpoints` living endpoints and have an idle connection to each.
    pub(super) fn new(pool: Pool, edges: usize, endpoints: usize, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let edge = |rng: &mut Rng| Edge {
            view: View::new(endpoints, rng.usize(..1 << 16)),
            checks: vec![Check::default(); endpoints],
            idle: vec![Idle::Good; endpoints],
        };
        let edges = (0..edges).map(|_| edge(&mut rng)).collect();
        let conditions = vec![Condition::Alive; endpoints];
        Self { pool, edges, conditions, misrouted: 0.0, queue: Queue::default(), rng, base: Instant::now() }
    }

    /// Sets the condition of an endpoint.
    pub(super) fn set(&mut self, endpoint: usize, condition: Condition) {
        self.conditions[endpoint] = condition;
        if condition == Condition::Silent {
            self.edges.iter_mut().for_each(|edge| edge.idle[endpoint] = Idle::Dead);
        }
    }

    /// From now on this share of connections to living endpoints, including open ones, leads to dead replicas.
    pub(super) fn misroute(&mut self, share: f64) {
        self.misrouted = share;
        for idle in self.edges.iter_mut().flat_map(|edge| &mut edge.idle) {
            if *idle == Idle::Good && self.rng.f64() < share {
                *idle = Idle::Dead;
            }
        }
    }

    /// Whether a new connection leads to a dead replica.
    pub(super) fn is_next_misrouted(&mut self) -> bool {
        self.misrouted > 0.0 && self.rng.f64() < self.misrouted
    }

    /// The current time, for the edge's own code.
    pub(super) fn instant(&self) -> Instant {
        self.base + Duration::from_micros(self.queue.now())
    }
}
