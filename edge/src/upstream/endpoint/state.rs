//! Whether an endpoint gets requests, and why not.

use std::time::SystemTime;

use crate::upstream::{
    health::{Health, HealthStatus, outlier::Outlier},
    order::Order,
};

/// An endpoint's state with its reason, for the status page. Requests use the snapshot instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointStatus {
    /// Whether it gets requests.
    pub state: EndpointState,
    /// The reason for the state: the last check's outcome, the ejection or the drain.
    pub reason: String,
    /// What the operator ordered. The state may hide it: an endpoint may drain and be unhealthy.
    pub order: Order,
    /// When it entered the state.
    pub since: SystemTime,
    /// When the time of its ejection is over; `None` in other states.
    pub ejected_until: Option<SystemTime>,
}

/// A state that an endpoint was in before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip {
    /// The state.
    pub state: EndpointState,
    /// The reason for it.
    pub reason: String,
    /// When it entered the state.
    pub since: SystemTime,
}

/// Whether an endpoint gets requests, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointState {
    /// Not checked yet.
    Unchecked,
    /// It gets requests.
    Healthy,
    /// Its checks fail.
    Unhealthy,
    /// Its checks pass or are off, but too many requests in a row failed, or too many responses are server errors.
    Ejected,
    /// Its ejection is over, but it gets one request at a time until one succeeds.
    Probation,
    /// It gets no new requests because the operator or the endpoint itself said so. Nothing else is against it, so it
    /// is used if no other endpoint is left.
    Draining,
    /// It gets no requests and no checks, because the operator said so.
    Maintenance,
}

impl EndpointState {
    /// Returns the state that follows from the checks, from failed requests and from the operator's order. Failing
    /// checks hide an ejection, and both hide a drain.
    #[must_use]
    pub fn of(health: &Health, outlier: &Outlier, order: Order) -> Self {
        match health.status() {
            _ if order == Order::Maintenance => Self::Maintenance,
            HealthStatus::Unhealthy => Self::Unhealthy,
            _ if outlier.is_ejected() => Self::Ejected,
            _ if order == Order::Drain => Self::Draining,
            HealthStatus::Draining => Self::Draining,
            _ if outlier.is_on_probation() => Self::Probation,
            HealthStatus::Unchecked => Self::Unchecked,
            HealthStatus::Healthy => Self::Healthy,
        }
    }

    /// Returns its name for the status page, the JSON and the metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Probation => "probation",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::upstream::health::{outlier::tests::ejection, state::tests::check};

    #[test]
    fn state_follows_from_checks_then_ejection_then_drain_unless_in_maintenance() {
        let mut unhealthy = Health::unchecked();
        unhealthy.observe(false, &check(1, 1));
        let in_use = Outlier::default();
        let mut ejected = Outlier::default();
        ejected.eject(&ejection(5, 0.5), Instant::now());
        let mut awaiting_check = ejected;
        awaiting_check.expire();
        let mut on_probation = ejected;
        on_probation.begin_probation();
        let mut draining = Health::assumed();
        draining.drain();
        for (health, outlier, expected, ordered_to_drain) in [
            (Health::unchecked(), in_use, EndpointState::Unchecked, EndpointState::Draining),
            (Health::unchecked(), ejected, EndpointState::Ejected, EndpointState::Ejected),
            (Health::assumed(), in_use, EndpointState::Healthy, EndpointState::Draining),
            (Health::assumed(), ejected, EndpointState::Ejected, EndpointState::Ejected),
            (Health::assumed(), awaiting_check, EndpointState::Ejected, EndpointState::Ejected),
            (Health::assumed(), on_probation, EndpointState::Probation, EndpointState::Draining),
            (draining, on_probation, EndpointState::Draining, EndpointState::Draining),
            (unhealthy, on_probation, EndpointState::Unhealthy, EndpointState::Unhealthy),
            (draining, in_use, EndpointState::Draining, EndpointState::Draining),
            (draining, ejected, EndpointState::Ejected, EndpointState::Ejected),
            (unhealthy, in_use, EndpointState::Unhealthy, EndpointState::Unhealthy),
            (unhealthy, ejected, EndpointState::Unhealthy, EndpointState::Unhealthy),
        ] {
            let state = |order| EndpointState::of(&health, &outlier, order);
            let expected = [expected, ordered_to_drain, EndpointState::Maintenance];
            assert_eq!(Order::ALL.map(state), expected, "{health:?} {outlier:?}");
        }
    }
}
