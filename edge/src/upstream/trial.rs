//! A request that is tried at an endpoint on probation.

use std::{sync::Arc, time::Duration};

use super::{
    endpoint::Endpoint,
    probation::{Admission, Ticket, Verdict},
};

/// A request on trial; see [`probation`](super::probation). Dropping it without a verdict lets another one be tried.
#[derive(Debug)]
pub struct Trial {
    endpoint: Arc<Endpoint>,
    ticket: Ticket,
}

impl Trial {
    /// Admits a request to an endpoint. `now` is the age of the worker's clock.
    #[must_use]
    pub fn begin(endpoint: &Arc<Endpoint>, now: Duration) -> Admission<Self> {
        match endpoint.probation.admit(now) {
            Admission::Free => Admission::Free,
            Admission::Trial(ticket) => Admission::Trial(Self { endpoint: Arc::clone(endpoint), ticket }),
            Admission::Refused => Admission::Refused,
        }
    }

    /// Whether it is a trial of the endpoint with this id.
    #[must_use]
    pub fn is_of(&self, endpoint: u64) -> bool {
        self.endpoint.id == endpoint
    }

    /// Records that the endpoint responded, with a server error or without.
    pub fn responded(&self, is_error: bool) {
        let has_failed = is_error && self.endpoint.probation.is_strict();
        self.settle(if has_failed { Verdict::Failed } else { Verdict::Passed });
    }

    /// Records that the endpoint refused the connection, reset it, or did not respond in time.
    pub fn failed(&self) {
        self.settle(Verdict::Failed);
    }

    fn settle(&self, verdict: Verdict) {
        if self.endpoint.probation.settle(self.ticket, verdict) {
            self.endpoint.wake();
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.endpoint.probation.give_back(self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    const NOW: Duration = Duration::from_secs(1);

    fn endpoint(strict: bool) -> Arc<Endpoint> {
        let endpoint = Endpoint::new(([10, 0, 0, 1], 80).into(), "s".into(), 1, SystemTime::UNIX_EPOCH);
        endpoint.probation.begin(strict);
        Arc::new(endpoint)
    }

    fn trial(endpoint: &Arc<Endpoint>) -> Trial {
        let Admission::Trial(trial) = Trial::begin(endpoint, NOW) else { panic!("no trial") };
        trial
    }

    #[test]
    fn request_that_ends_without_a_verdict_lets_another_one_be_tried() {
        let endpoint = endpoint(false);
        let first = trial(&endpoint);
        assert!(first.is_of(endpoint.id) && matches!(Trial::begin(&endpoint, NOW), Admission::Refused));
        drop(first);
        assert!(endpoint.probation.admits(NOW) && endpoint.probation.verdict().is_none());
    }

    #[test]
    fn server_error_fails_only_an_endpoint_that_was_ejected_because_of_such() {
        for (strict, is_error, expected) in [
            (false, false, Verdict::Passed),
            (false, true, Verdict::Passed),
            (true, false, Verdict::Passed),
            (true, true, Verdict::Failed),
        ] {
            let endpoint = endpoint(strict);
            let trial = trial(&endpoint);
            trial.responded(is_error);
            drop(trial);
            assert_eq!(endpoint.probation.verdict(), Some(expected), "{strict} {is_error}");
        }
    }
}
