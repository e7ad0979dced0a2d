//! Requests, sent and sent again as `edge/src/proxy/attempt.rs` does.

use super::{
    checks,
    queue::Event,
    state::{Condition, Idle, State},
    time::{ROUND_TRIP, SECOND, Time, micros},
};

/// `DOWN_CHECK_INTERVAL` of `edge/src/proxy/attempt.rs`.
const DOWN_CHECK_INTERVAL: Time = SECOND;

/// Counts of requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Requests that arrived.
    pub requests: u64,
    /// Requests that were sent to an endpoint that did not respond.
    pub slow: u64,
    /// Requests without a response.
    pub failed: u64,
    /// The longest time from arrival to a response or to giving up.
    pub longest: Time,
}

/// All open requests, and the load that causes them.
#[derive(Debug, Default)]
pub(super) struct Requests {
    pub(super) tally: Tally,
    /// Open and ended requests. The slots of ended ones are reused.
    requests: Vec<Request>,
    /// The indices of ended requests.
    free: Vec<usize>,
    /// The mean pause between two requests to one edge, in microseconds.
    pause: f64,
}

#[derive(Debug, Default)]
struct Request {
    edge: usize,
    arrived: Time,
    attempts: usize,
    tried: Vec<usize>,
    /// An idle connection was dead, so the request uses only new ones.
    stale: bool,
    slow: bool,
}

impl Requests {
    /// Sets the total rate of requests, per second.
    pub(super) fn load(&mut self, state: &mut State, per_second: f64) {
        self.pause = SECOND as f64 * state.edges.len() as f64 / per_second;
        for edge in 0..state.edges.len() {
            self.schedule(state, edge);
        }
    }

    /// Stops the arrival of requests.
    pub(super) fn stop(&mut self) {
        self.pause = f64::INFINITY;
    }

    /// The edge of a request.
    pub(super) fn edge(&self, request: usize) -> usize {
        self.requests[request].edge
    }

    /// Receives a request.
    pub(super) fn arrive(&mut self, state: &mut State, edge: usize) {
        if self.pause.is_infinite() {
            return;
        }
        self.schedule(state, edge);
        self.tally.requests += 1;
        let request = Request { edge, arrived: state.queue.now(), ..Request::default() };
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
        self.attempt(state, index);
    }

    /// Schedules the next request to an edge, after an exponentially distributed pause.
    fn schedule(&self, state: &mut State, edge: usize) {
        let pause = -(1.0 - state.rng.f64()).ln() * self.pause;
        state.queue.push(state.queue.now() + pause as Time, Event::Arrival { edge });
    }

    fn attempt(&mut self, state: &mut State, index: usize) {
        let (random, is_misrouted) = (state.rng.u64(..), state.is_next_misrouted());
        let request = &mut self.requests[index];
        let edge = &mut state.edges[request.edge];
        request.attempts += 1;
        let Some(endpoint) = edge.view.pick(&request.tried, random, &state.pool) else {
            self.end(state, index, false);
            return;
        };
        let idle = if request.stale { Idle::None } else { std::mem::take(&mut edge.idle[endpoint]) };
        let alive = matches!(state.conditions[endpoint], Condition::Alive | Condition::Unready);
        if alive && (idle == Idle::Good || idle == Idle::None && !is_misrouted) {
            edge.idle[endpoint] = Idle::Good;
            edge.view.request_succeeded(endpoint);
            self.end(state, index, true);
            return;
        }
        if !std::mem::replace(&mut request.slow, true) {
            self.tally.slow += 1;
        }
        let now = state.queue.now();
        if idle == Idle::Dead {
            schedule_down_check(state, index, endpoint, now);
        } else {
            let is_refused = state.conditions[endpoint] == Condition::Refusing;
            let takes = if is_refused { ROUND_TRIP } else { micros(state.pool.timeouts.connect) };
            state.queue.push(now + takes, Event::ConnectFailed { request: index, endpoint });
        }
    }

    /// Decides whether a request keeps waiting for a response on a dead connection.
    pub(super) fn down_check(&mut self, state: &mut State, index: usize, endpoint: usize, since: Time) {
        let view = &state.edges[self.requests[index].edge].view;
        let (waited, timeouts) = (state.queue.now() - since, &state.pool.timeouts);
        if view.is_down(endpoint) && !view.is_panic(&state.pool) {
            self.attempt_failed(state, index, endpoint);
        } else if waited >= micros(timeouts.response) {
            self.end(state, index, false);
        } else if waited >= micros(timeouts.unacknowledged) {
            // As in the edge's `RetryState::failed`: this counts neither against the endpoint nor as an attempt.
            let request = &mut self.requests[index];
            request.stale = true;
            request.attempts -= 1;
            self.attempt(state, index);
        } else {
            schedule_down_check(state, index, endpoint, since);
        }
    }

    /// Records a failure of the endpoint, and sends the request again if an attempt is left.
    pub(super) fn attempt_failed(&mut self, state: &mut State, index: usize, endpoint: usize) {
        let (edge, now) = (self.requests[index].edge, state.instant());
        if state.edges[edge].view.request_failed(endpoint, &state.pool, now)
            && let Some(until) = state.edges[edge].view.ejected_until(endpoint)
        {
            let after = micros(until.saturating_duration_since(now));
            state.queue.push(state.queue.now() + after, Event::EjectionExpired { edge, endpoint });
        }
        checks::hurry(state, edge, endpoint);
        let request = &mut self.requests[index];
        request.tried.push(endpoint);
        if request.attempts >= state.pool.attempts.get() {
            self.end(state, index, false);
        } else {
            self.attempt(state, index);
        }
    }

    fn end(&mut self, state: &State, index: usize, answered: bool) {
        let took = state.queue.now() - self.requests[index].arrived + if answered { ROUND_TRIP } else { 0 };
        self.tally.longest = self.tally.longest.max(took);
        self.tally.failed += u64::from(!answered);
        self.free.push(index);
    }
}

/// Schedules the next decision about a request that waits for a response.
fn schedule_down_check(state: &mut State, request: usize, endpoint: usize, since: Time) {
    let timeouts = &state.pool.timeouts;
    let end = since + micros(timeouts.unacknowledged.min(timeouts.response));
    let at = (state.queue.now() + DOWN_CHECK_INTERVAL).min(end);
    state.queue.push(at, Event::DownCheck { request, endpoint, since });
}
