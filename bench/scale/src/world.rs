//! Edges, endpoints and the network between them, with a queue of events instead of time.
//!
//! Checks are timed as `edge/src/upstream/health/watch.rs` does, requests sent again as `edge/src/proxy/attempt.rs` does.
//! Two kinds of death: a dead machine is silent, so connecting times out and a request on an idle connection
//! waits until the checks have failed or `unacknowledged` has passed; connections to a dead
//! process are refused at once. An edge keeps one idle connection to each endpoint: after a death it
//! fails one request.
//!
//! Behind a mesh an endpoint is a node, and a connection to a living node may lead to a dead one, until the swarm
//! notices: [`World::strand`].

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use edge::{
    config::{HealthCheck, Pool, Source},
    upstream::health::{self, Health},
};
use fastrand::Rng;
use tokio::time::Instant;

use crate::view::View;

/// Microseconds since the start.
pub type Time = u64;

/// One second.
pub const SECOND: Time = 1_000_000;
/// The round trip to an endpoint.
const ROUND_TRIP: Time = 1_000;
/// `LOOK_AGAIN` of `edge/src/proxy/attempt.rs`.
const LOOK_AGAIN: Time = SECOND;

/// The state of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It responds.
    Alive,
    /// It serves requests, but fails its checks.
    Unready,
    /// Its machine is dead: it is silent.
    Silent,
    /// Its process is dead: connections are refused.
    Refused,
}

/// What happened to requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Requests that arrived.
    pub requests: u64,
    /// Those sent to an endpoint that did not respond.
    pub met: u64,
    /// Those without a response.
    pub failed: u64,
    /// The longest time from arrival to a response or to giving up.
    pub longest: Time,
}

/// The simulation.
#[derive(Debug)]
pub struct World {
    /// The settings of every edge's pool.
    pub pool: Pool,
    /// What happened to requests since it was last read.
    pub tally: Tally,
    /// When checks were sent, with edge and endpoint, if they are recorded.
    pub checks: Option<Vec<(Time, usize, usize)>>,
    edges: Vec<Edge>,
    fates: Vec<Fate>,
    /// The probability that a new connection to a living endpoint leads to a dead replica behind it.
    stray: f64,
    requests: Vec<Request>,
    free: Vec<usize>,
    queue: BinaryHeap<Reverse<(Time, u64, Event)>>,
    sequence: u64,
    now: Time,
    base: Instant,
    rng: Rng,
    /// The mean pause between two requests of one edge.
    pause: f64,
}

#[derive(Debug)]
struct Edge {
    view: View,
    checks: Vec<Check>,
    /// The idle connection to each endpoint.
    idle: Vec<Idle>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Idle {
    #[default]
    None,
    Good,
    /// Its peer is dead.
    Dead,
}

/// `check_again_and_again` of one endpoint, between two of its awaits.
#[derive(Clone, Copy, Debug, Default)]
struct Check {
    due: Time,
    last: Option<Time>,
    /// The valid one of those in the queue.
    ticket: u64,
    running: bool,
    hurry: bool,
}

#[derive(Debug, Default)]
struct Request {
    edge: usize,
    born: Time,
    attempts: usize,
    tried: Vec<usize>,
    /// An idle connection was dead: from here on only new ones.
    stale: bool,
    met: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Due { edge: usize, endpoint: usize, ticket: u64 },
    Checked { edge: usize, endpoint: usize, passed: bool },
    Served { edge: usize, endpoint: usize },
    Arrival { edge: usize },
    Unconnected { request: usize, endpoint: usize },
    Look { request: usize, endpoint: usize, since: Time },
}

/// The default settings of a pool, as stack.yml has them.
#[must_use]
pub fn pool() -> Pool {
    Pool::new("web", vec![Source::Name { host: "tasks.web".to_owned(), port: 8000 }])
}

/// A duration as [`Time`].
#[must_use]
pub fn micros(duration: Duration) -> Time {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl World {
    /// Edges that start at the same time and find all endpoints alive.
    #[must_use]
    pub fn new(edges: usize, endpoints: usize, seed: u64) -> Self {
        let (pool, mut rng) = (pool(), Rng::with_seed(seed));
        let edge = |rng: &mut Rng| Edge {
            view: View::new(endpoints, rng.usize(..1 << 16)),
            checks: vec![Check::default(); endpoints],
            idle: vec![Idle::Good; endpoints],
        };
        let edges: Vec<_> = (0..edges).map(|_| edge(&mut rng)).collect();
        let mut this = Self {
            pool,
            tally: Tally::default(),
            checks: None,
            fates: vec![Fate::Alive; endpoints],
            stray: 0.0,
            requests: Vec::new(),
            free: Vec::new(),
            queue: BinaryHeap::new(),
            sequence: 0,
            now: 0,
            base: Instant::now(),
            rng,
            pause: 0.0,
            edges,
        };
        for edge in 0..this.edges.len() {
            for endpoint in 0..endpoints {
                this.schedule(edge, endpoint, 0);
            }
        }
        this
    }

    /// Sets the state of an endpoint.
    pub fn set(&mut self, endpoint: usize, fate: Fate) {
        self.fates[endpoint] = fate;
        if fate == Fate::Silent {
            self.edges.iter_mut().for_each(|edge| edge.idle[endpoint] = Idle::Dead);
        }
    }

    /// From now on this share of connections to living endpoints, open ones included, leads to replicas that do not
    /// respond.
    pub fn strand(&mut self, share: f64) {
        self.stray = share;
        for idle in self.edges.iter_mut().flat_map(|edge| &mut edge.idle) {
            if *idle == Idle::Good && self.rng.f64() < share {
                *idle = Idle::Dead;
            }
        }
    }

    /// From now on connections lead to replicas that respond.
    pub fn unstrand(&mut self) {
        self.stray = 0.0;
    }

    /// Stops the arrival of requests.
    pub fn unload(&mut self) {
        self.pause = f64::INFINITY;
    }

    /// Sets the total rate of requests.
    pub fn load(&mut self, per_second: f64) {
        self.pause = SECOND as f64 * self.edges.len() as f64 / per_second;
        for edge in 0..self.edges.len() {
            self.expect(edge);
        }
    }

    /// Advances time.
    pub fn run(&mut self, duration: Time) {
        self.run_until(self.now + duration, |_, _| false);
    }

    /// Advances time until a condition holds, which is tested after each check and each failure of an edge. Returns the
    /// time it took.
    pub fn run_until(&mut self, end: Time, mut done: impl FnMut(&Self, usize) -> bool) -> Option<Time> {
        let began = self.now;
        while let Some(Reverse((at, _, event))) = self.queue.peek().copied().filter(|first| first.0.0 <= end) {
            self.queue.pop();
            self.now = at;
            self.happen(event);
            let edge = match event {
                Event::Checked { edge, .. } | Event::Served { edge, .. } => edge,
                Event::Unconnected { request, .. } | Event::Look { request, .. } => self.requests[request].edge,
                Event::Arrival { .. } | Event::Due { .. } => continue,
            };
            if done(self, edge) {
                return Some(self.now - began);
            }
        }
        self.now = end;
        None
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Whether an edge sends first attempts there.
    #[must_use]
    pub fn is_used(&self, edge: usize, endpoint: usize) -> bool {
        self.edges[edge].view.is_used(endpoint, &self.pool)
    }

    /// Whether an edge uses all endpoints, because too few are healthy.
    #[must_use]
    pub fn is_panic(&self, edge: usize) -> bool {
        self.edges[edge].view.is_panic(&self.pool)
    }

    /// How many edges there are.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.edges.len()
    }

    fn instant(&self) -> Instant {
        self.base + Duration::from_micros(self.now)
    }

    fn push(&mut self, at: Time, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse((at, self.sequence, event)));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Due { edge, endpoint, ticket } => self.check(edge, endpoint, ticket),
            Event::Checked { edge, endpoint, passed } => self.checked(edge, endpoint, passed),
            Event::Served { edge, endpoint } => self.served(edge, endpoint),
            Event::Arrival { edge } => self.arrive(edge),
            Event::Unconnected { request, endpoint } => self.attempt_failed(request, endpoint),
            Event::Look { request, endpoint, since } => self.look(request, endpoint, since),
        }
    }

    // Checks.

    fn settings(&self) -> HealthCheck {
        self.pool.health.clone().unwrap_or_default()
    }

    fn schedule(&mut self, edge: usize, endpoint: usize, due: Time) {
        let ticket = self.sequence;
        let check = &mut self.edges[edge].checks[endpoint];
        (check.due, check.ticket) = (due, ticket);
        self.push(due, Event::Due { edge, endpoint, ticket });
    }

    fn check(&mut self, edge: usize, endpoint: usize, ticket: u64) {
        let check = &mut self.edges[edge].checks[endpoint];
        if check.ticket != ticket || check.running {
            return;
        }
        check.running = true;
        if let Some(checks) = &mut self.checks {
            checks.push((self.now, edge, endpoint));
        }
        let fate = if self.strays() { Fate::Silent } else { self.fates[endpoint] };
        let takes = if fate == Fate::Silent { micros(self.settings().timeout) } else { ROUND_TRIP };
        self.push(self.now + takes, Event::Checked { edge, endpoint, passed: fate == Fate::Alive });
    }

    /// Whether a new connection leads astray.
    fn strays(&mut self) -> bool {
        self.stray > 0.0 && self.rng.f64() < self.stray
    }

    fn checked(&mut self, edge: usize, endpoint: usize, passed: bool) {
        let (settings, now, chance) = (self.settings(), self.instant(), self.rng.f64());
        let first = self.edges[edge].view.health(endpoint) == Health::unchecked();
        let health = self.edges[edge].view.checked(endpoint, passed, &self.pool, now);
        let pause =
            if first { health::initial_delay(&settings, chance) } else { health::delay(&settings, &health, chance) };
        let (now, due) = (self.now, self.now + micros(pause));
        let check = &mut self.edges[edge].checks[endpoint];
        (check.running, check.last) = (false, Some(now));
        let hurry = std::mem::take(&mut check.hurry);
        self.schedule(edge, endpoint, due);
        if hurry {
            self.hurry(edge, endpoint);
        }
    }

    /// A failed request is a reason to check at once.
    fn hurry(&mut self, edge: usize, endpoint: usize) {
        let fast = micros(self.settings().fast_interval);
        let now = self.now;
        let check = &mut self.edges[edge].checks[endpoint];
        if check.running {
            check.hurry = true;
            return;
        }
        let soonest = check.last.map_or(now, |last| last + fast).max(now);
        if soonest < check.due {
            self.schedule(edge, endpoint, soonest);
        }
    }

    fn served(&mut self, edge: usize, endpoint: usize) {
        // Unless its checks have ended the ejection before.
        let due = self.edges[edge].view.ejected_until(endpoint).is_some_and(|until| until <= self.instant());
        if due {
            self.edges[edge].view.served(endpoint);
            self.hurry(edge, endpoint);
        }
    }

    // Requests.

    /// The next one of this edge, after a pause as chance has it.
    fn expect(&mut self, edge: usize) {
        let pause = -(1.0 - self.rng.f64()).ln() * self.pause;
        self.push(self.now + pause as Time, Event::Arrival { edge });
    }

    fn arrive(&mut self, edge: usize) {
        if self.pause.is_infinite() {
            return;
        }
        self.expect(edge);
        self.tally.requests += 1;
        let request = Request { edge, born: self.now, ..Request::default() };
        let index = match self.free.pop() {
            Some(index) => {
                self.requests[index] = request;
                index
            }
            None => {
                self.requests.push(request);
                self.requests.len() - 1
            }
        };
        self.attempt(index);
    }

    fn attempt(&mut self, index: usize) {
        let (random, strays) = (self.rng.u64(..), self.strays());
        let request = &mut self.requests[index];
        let edge = &mut self.edges[request.edge];
        request.attempts += 1;
        let Some(endpoint) = edge.view.pick(&request.tried, random, &self.pool) else {
            self.end(index, false);
            return;
        };
        let idle = if request.stale { Idle::None } else { std::mem::take(&mut edge.idle[endpoint]) };
        let alive = matches!(self.fates[endpoint], Fate::Alive | Fate::Unready);
        if alive && (idle == Idle::Good || idle == Idle::None && !strays) {
            edge.idle[endpoint] = Idle::Good;
            edge.view.succeeded(endpoint);
            self.end(index, true);
            return;
        }
        if !std::mem::replace(&mut request.met, true) {
            self.tally.met += 1;
        }
        if idle == Idle::Dead {
            self.look_again(index, endpoint, self.now);
        } else {
            let refused = self.fates[endpoint] == Fate::Refused;
            let takes = if refused { ROUND_TRIP } else { micros(self.pool.timeouts.connect) };
            self.push(self.now + takes, Event::Unconnected { request: index, endpoint });
        }
    }

    /// Waits on a connection that nobody answers on.
    fn look(&mut self, index: usize, endpoint: usize, since: Time) {
        let view = &self.edges[self.requests[index].edge].view;
        let (waited, timeouts) = (self.now - since, &self.pool.timeouts);
        if view.is_down(endpoint) && !view.is_panic(&self.pool) {
            self.attempt_failed(index, endpoint);
        } else if waited >= micros(timeouts.response) {
            self.end(index, false);
        } else if waited >= micros(timeouts.unacknowledged) {
            // As `Tried::failed` has it: no fault of the endpoint, and no attempt.
            let request = &mut self.requests[index];
            request.stale = true;
            request.attempts -= 1;
            self.attempt(index);
        } else {
            self.look_again(index, endpoint, since);
        }
    }

    fn look_again(&mut self, request: usize, endpoint: usize, since: Time) {
        let timeouts = &self.pool.timeouts;
        let over = since + micros(timeouts.unacknowledged.min(timeouts.response));
        self.push((self.now + LOOK_AGAIN).min(over), Event::Look { request, endpoint, since });
    }

    fn attempt_failed(&mut self, index: usize, endpoint: usize) {
        let (edge, now) = (self.requests[index].edge, self.instant());
        if self.edges[edge].view.failed(endpoint, &self.pool, now)
            && let Some(until) = self.edges[edge].view.ejected_until(endpoint)
        {
            let after = micros(until.saturating_duration_since(now));
            self.push(self.now + after, Event::Served { edge, endpoint });
        }
        self.hurry(edge, endpoint);
        let request = &mut self.requests[index];
        request.tried.push(endpoint);
        if request.attempts >= self.pool.attempts.get() {
            self.end(index, false);
        } else {
            self.attempt(index);
        }
    }

    fn end(&mut self, index: usize, answered: bool) {
        let took = self.now - self.requests[index].born + if answered { ROUND_TRIP } else { 0 };
        self.tally.longest = self.tally.longest.max(took);
        self.tally.failed += u64::from(!answered);
        self.free.push(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One edge with one endpoint, whose connection leads to a dead replica; new ones lead to a living one. The edge's
    /// checks pass all the while.
    fn on_a_dead_connection(unacknowledged: Duration) -> Tally {
        let mut world = World::new(1, 1, 1);
        world.pool.timeouts.unacknowledged = unacknowledged;
        world.run(SECOND);
        world.strand(1.0);
        world.unstrand();
        world.load(1.0);
        world.run(10 * SECOND);
        world.unload();
        world.run(60 * SECOND);
        world.tally
    }

    #[test]
    fn what_nobody_acknowledges_is_sent_again_on_a_new_connection() {
        let tally = on_a_dead_connection(Duration::from_millis(2500));
        assert_eq!((tally.met, tally.failed, tally.longest), (1, 0, 2_500_000 + ROUND_TRIP));
    }

    #[test]
    fn without_it_the_wait_ends_with_the_time_for_a_response() {
        let tally = on_a_dead_connection(Duration::from_secs(3600));
        assert_eq!((tally.met, tally.failed, tally.longest), (1, 1, 30 * SECOND));
    }
}
