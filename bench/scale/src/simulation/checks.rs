//! Health checks, timed as `edge/src/upstream/health/watch.rs` times them.

use edge::{
    config::HealthCheck,
    upstream::health::{self, Health},
};

use super::{
    queue::Event,
    state::{Condition, State},
    time::{ROUND_TRIP, Time, micros},
};

/// When checks were sent, by which edge and to which endpoint.
pub type CheckLog = Vec<(Time, usize, usize)>;

/// Schedules the next check and invalidates the one scheduled before.
pub(super) fn schedule(state: &mut State, edge: usize, endpoint: usize, due: Time) {
    let ticket = state.queue.count();
    let check = &mut state.edges[edge].checks[endpoint];
    (check.due, check.ticket) = (due, ticket);
    state.queue.push(due, Event::CheckDue { edge, endpoint, ticket });
}

/// Sends the check that is due, and adds it to `log`.
pub(super) fn send(state: &mut State, edge: usize, endpoint: usize, ticket: u64, log: Option<&mut CheckLog>) {
    let check = &mut state.edges[edge].checks[endpoint];
    if check.ticket != ticket || check.running {
        return;
    }
    check.running = true;
    let now = state.queue.now();
    if let Some(log) = log {
        log.push((now, edge, endpoint));
    }
    let condition = if state.is_next_misrouted() { Condition::Silent } else { state.conditions[endpoint] };
    let takes = if condition == Condition::Silent { micros(settings(state).timeout) } else { ROUND_TRIP };
    state.queue.push(now + takes, Event::Checked { edge, endpoint, passed: condition == Condition::Alive });
}

/// Records the outcome of a check and schedules the next one.
pub(super) fn ended(state: &mut State, edge: usize, endpoint: usize, passed: bool) {
    let (settings, now, chance) = (settings(state), state.instant(), state.rng.f64());
    let view = &mut state.edges[edge].view;
    let first = view.health(endpoint) == Health::unchecked();
    let health = view.check_completed(endpoint, passed, &state.pool, now);
    let pause =
        if first { health::initial_delay(&settings, chance) } else { health::delay(&settings, &health, chance) };
    let now = state.queue.now();
    let check = &mut state.edges[edge].checks[endpoint];
    (check.running, check.last) = (false, Some(now));
    let hurry = std::mem::take(&mut check.hurry);
    schedule(state, edge, endpoint, now + micros(pause));
    if hurry {
        self::hurry(state, edge, endpoint);
    }
}

/// Checks an endpoint as soon as the settings allow, because a request failed there.
pub(super) fn hurry(state: &mut State, edge: usize, endpoint: usize) {
    let fast = micros(settings(state).fast_interval);
    let now = state.queue.now();
    let check = &mut state.edges[edge].checks[endpoint];
    if check.running {
        check.hurry = true;
        return;
    }
    let soonest = check.last.map_or(now, |last| last + fast).max(now);
    if soonest < check.due {
        schedule(state, edge, endpoint, soonest);
    }
}

/// Expires an ejection whose time has passed, unless checks ended it before.
pub(super) fn expire_ejection(state: &mut State, edge: usize, endpoint: usize) {
    let is_due = state.edges[edge].view.ejected_until(endpoint).is_some_and(|until| until <= state.instant());
    if is_due {
        state.edges[edge].view.ejection_expired(endpoint);
        hurry(state, edge, endpoint);
    }
}

fn settings(state: &State) -> HealthCheck {
    state.pool.health.clone().unwrap_or_default()
}
