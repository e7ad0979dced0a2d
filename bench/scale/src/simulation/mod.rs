//! Edges, endpoints and the network between them, with a queue of events in place of time.
//!
//! There are two kinds of death. A dead machine is silent: connecting times out, and a request on an idle connection
//! waits until the checks have failed or `unacknowledged` has passed. A dead process refuses connections at once. An
//! edge keeps one idle connection to each endpoint, which fails one request after a death.
//!
//! Behind a mesh, an endpoint is a node, and until the swarm notices a death, a connection to a living node may lead to
//! a dead one: [`Simulation::misroute`].

mod checks;
mod queue;
mod requests;
mod state;
mod time;

use edge::config::{Pool, Source};

pub use self::{
    checks::CheckLog,
    requests::Tally,
    state::Condition,
    time::{SECOND, Time, micros},
};
use self::{queue::Event, requests::Requests, state::State};

/// The simulation.
#[derive(Debug)]
pub struct Simulation {
    state: State,
    requests: Requests,
    /// Filled if checks are recorded.
    check_log: Option<CheckLog>,
}

/// The default settings of a pool, as in stack.yml.
#[must_use]
pub fn pool() -> Pool {
    Pool::new("web", vec![Source::Name { host: "tasks.web".to_owned(), port: 8000 }])
}

impl Simulation {
    /// Edges that start at the same time and find all endpoints alive.
    #[must_use]
    pub fn new(edges: usize, endpoints: usize, seed: u64) -> Self {
        Self::with_pool(pool(), edges, endpoints, seed)
    }

    fn with_pool(pool: Pool, edges: usize, endpoints: usize, seed: u64) -> Self {
        let mut state = State::new(pool, edges, endpoints, seed);
        for edge in 0..edges {
            for endpoint in 0..endpoints {
                checks::schedule(&mut state, edge, endpoint, 0);
            }
        }
        Self { state, requests: Requests::default(), check_log: None }
    }

    /// Sets the condition of an endpoint.
    pub fn set(&mut self, endpoint: usize, condition: Condition) {
        self.state.set(endpoint, condition);
    }

    /// From now on this share of connections to living endpoints, including open ones, leads to dead replicas.
    pub fn misroute(&mut self, share: f64) {
        self.state.misroute(share);
    }

    /// From now on new connections to living endpoints lead to living replicas.
    pub fn stop_misrouting(&mut self) {
        self.state.misrouted = 0.0;
    }

    /// Sets the total rate of requests, per second.
    pub fn load(&mut self, per_second: f64) {
        self.requests.load(&mut self.state, per_second);
    }

    /// Stops the arrival of requests.
    pub fn stop_load(&mut self) {
        self.requests.stop();
    }

    /// Records checks from now on.
    pub fn record_checks(&mut self) {
        self.check_log = Some(CheckLog::new());
    }

    /// Returns the recorded checks and stops recording.
    pub fn take_checks(&mut self) -> CheckLog {
        self.check_log.take().unwrap_or_default()
    }

    /// Returns the counts of requests since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.requests.tally)
    }

    /// Advances time.
    pub fn run(&mut self, duration: Time) {
        self.run_until(self.now() + duration, |_, _| false);
    }

    /// Advances time until `end` or until a condition holds. The condition is tested with the edge after each of its
    /// checks and failed attempts. Returns how long that took, or `None` at `end`.
    pub fn run_until(&mut self, end: Time, mut done: impl FnMut(&Self, usize) -> bool) -> Option<Time> {
        let began = self.now();
        while let Some(event) = self.state.queue.next_until(end) {
            self.handle(event);
            let edge = match event {
                Event::Checked { edge, .. } | Event::EjectionExpired { edge, .. } => edge,
                Event::ConnectFailed { request, .. } | Event::DownCheck { request, .. } => self.requests.edge(request),
                Event::Arrival { .. } | Event::CheckDue { .. } => continue,
            };
            if done(self, edge) {
                return Some(self.now() - began);
            }
        }
        None
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.state.queue.now()
    }

    /// Whether an edge sends first attempts to an endpoint.
    #[must_use]
    pub fn is_used(&self, edge: usize, endpoint: usize) -> bool {
        self.state.edges[edge].view.is_used(endpoint, &self.state.pool)
    }

    /// Whether an edge uses all endpoints, because too few are healthy.
    #[must_use]
    pub fn is_panic(&self, edge: usize) -> bool {
        self.state.edges[edge].view.is_panic(&self.state.pool)
    }

    /// The number of edges.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.state.edges.len()
    }

    fn handle(&mut self, event: Event) {
        let Self { state, requests, check_log } = self;
        match event {
            Event::CheckDue { edge, endpoint, ticket } => {
                checks::send(state, edge, endpoint, ticket, check_log.as_mut());
            }
            Event::Checked { edge, endpoint, passed } => checks::ended(state, edge, endpoint, passed),
            Event::EjectionExpired { edge, endpoint } => checks::expire_ejection(state, edge, endpoint),
            Event::Arrival { edge } => requests.arrive(state, edge),
            Event::ConnectFailed { request, endpoint } => requests.attempt_failed(state, request, endpoint),
            Event::DownCheck { request, endpoint, since } => requests.down_check(state, request, endpoint, since),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{time::ROUND_TRIP, *};

    /// One edge with one endpoint, whose connection leads to a dead replica; new ones lead to a living one. The edge's
    /// checks pass all the while.
    fn on_a_dead_connection(unacknowledged: Duration) -> Tally {
        let mut pool = pool();
        pool.timeouts.unacknowledged = unacknowledged;
        let mut simulation = Simulation::with_pool(pool, 1, 1, 1);
        simulation.run(SECOND);
        simulation.misroute(1.0);
        simulation.stop_misrouting();
        simulation.load(1.0);
        simulation.run(10 * SECOND);
        simulation.stop_load();
        simulation.run(60 * SECOND);
        simulation.take_tally()
    }

    #[test]
    fn an_unacknowledged_request_is_sent_again_on_a_new_connection() {
        let tally = on_a_dead_connection(Duration::from_millis(2500));
        assert_eq!((tally.slow, tally.failed, tally.longest), (1, 0, 2_500_000 + ROUND_TRIP));
    }

    #[test]
    fn without_the_limit_of_unacknowledged_the_wait_ends_with_the_response_timeout() {
        let tally = on_a_dead_connection(Duration::from_secs(3600));
        assert_eq!((tally.slow, tally.failed, tally.longest), (1, 1, 30 * SECOND));
    }
}
