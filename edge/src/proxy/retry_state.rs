//! The attempts made for one request: which endpoints have failed, and what the next attempt may do.

use std::{cell::RefCell, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    error::{Error, Kind, Retry},
    proxy::{
        outcome::{Failure, count_failure},
        request::Affinity,
    },
    upstream::{
        Endpoint,
        connection::{Connection, pool::Demand},
        probation::Admission,
        trial::Trial,
    },
};

/// The attempts made for one request.
#[derive(Debug, Default)]
pub(super) struct RetryState {
    /// The ids of the endpoints that have failed since all of them were last tried again.
    pub(super) endpoints: Vec<u64>,
    /// The number of attempts, with the one under way.
    pub(super) attempts: usize,
    /// How often all endpoints have failed.
    rounds: u32,
    /// An endpoint did not respond in time, so no endpoint is tried twice; see
    /// [`Retry::OnceElsewhere`].
    pub(super) elsewhere_only: bool,
    /// An endpoint asked to wait before it gets the request again, so no endpoint is tried twice.
    deferred: bool,
    /// The request may be sent again after an endpoint received some of it.
    pub(super) replayable: bool,
    /// An idle connection turned out to be closed, so the next attempts open new ones.
    pub(super) stale: bool,
    /// Where the attempt under way is on trial: at two endpoints, if it opens a connection to each.
    trials: RefCell<Vec<Trial>>,
    /// Another exchange is under way, so that this one is not worth a last resort: it goes to a healthy endpoint or not
    /// at all.
    pub(super) beside_another: bool,
    /// What ties the request to an endpoint.
    pub(super) affinity: Affinity,
    /// Why the last attempt failed.
    pub(super) last: Option<Error>,
}

impl RetryState {
    /// No attempt was made.
    pub(super) fn new(replayable: bool, affinity: Affinity) -> Self {
        Self { replayable, affinity, ..Self::default() }
    }

    /// Begins another attempt.
    pub(super) fn begin(&mut self) {
        self.attempts += 1;
        self.trials.get_mut().clear();
    }

    /// Whether an endpoint accepts this attempt: it is not on probation, or the attempt is on trial there. `now` is the
    /// age of the worker's clock.
    pub(super) fn is_admitted(&self, endpoint: &Arc<Endpoint>, now: Duration) -> bool {
        let mut trials = self.trials.borrow_mut();
        match Trial::begin(endpoint, now) {
            Admission::Free => true,
            Admission::Trial(trial) => {
                trials.push(trial);
                true
            }
            Admission::Refused => trials.iter().any(|trial| trial.is_of(endpoint.id)),
        }
    }

    /// Whether this attempt is on trial at the endpoint with this id.
    pub(super) fn is_on_trial(&self, endpoint: u64) -> bool {
        self.trials.borrow().iter().any(|trial| trial.is_of(endpoint))
    }

    /// Ends the trial at the endpoint with this id, if there is one, because the attempt goes elsewhere.
    pub(super) fn leave_trial(&self, endpoint: u64) {
        self.trials.borrow_mut().retain(|trial| !trial.is_of(endpoint));
    }

    /// Records a response, if the attempt was on trial at the endpoint with this id.
    pub(super) fn responded(&self, endpoint: u64, is_error: bool) {
        self.trials.borrow().iter().filter(|trial| trial.is_of(endpoint)).for_each(|trial| trial.responded(is_error));
    }

    /// Records that there was none, if the attempt was on trial at the endpoint with this id.
    pub(super) fn trial_failed(&self, endpoint: u64) {
        self.trials.borrow().iter().filter(|trial| trial.is_of(endpoint)).for_each(Trial::failed);
    }

    /// The state for a second exchange beside that with `endpoint`.
    pub(super) fn after(endpoint: &Endpoint) -> Self {
        Self { attempts: 2, endpoints: vec![endpoint.id], replayable: true, beside_another: true, ..Self::default() }
    }

    /// What an idle connection must be like. The kernel must decide whether it is open if the request can be sent only
    /// once, or if another one turned out to be closed: the runtime may not know yet that others were closed with it, as
    /// when a node is gone.
    pub(super) fn demand(&self) -> Demand {
        match (self.replayable, self.stale) {
            (false, _) => Demand::Fresh,
            (true, true) => Demand::OpenInKernel,
            (true, false) => Demand::Open,
        }
    }

    /// Excludes an endpoint from the next attempts.
    pub(super) fn exclude(&mut self, endpoint: &Endpoint) {
        self.endpoints.push(endpoint.id);
    }

    /// Records that the response of an endpoint is not passed on. `deferred` says whether it asks to wait.
    pub(super) fn discarded(&mut self, endpoint: &Endpoint, deferred: bool) {
        self.exclude(endpoint);
        self.deferred |= deferred;
    }

    /// Whether an endpoint may be tried twice.
    pub(super) fn may_repeat(&self) -> bool {
        !self.elsewhere_only && !self.deferred
    }

    /// Whether endpoints that failed may be tried again.
    pub(super) fn may_begin_again(&self) -> bool {
        !self.endpoints.is_empty() && self.may_repeat()
    }

    /// Whether all endpoints have failed, and are tried again.
    pub(super) fn has_begun_again(&self) -> bool {
        self.rounds > 0
    }

    /// Forgets which endpoints failed. Returns how often that was done.
    pub(super) fn begin_again(&mut self) -> u32 {
        self.endpoints.clear();
        self.trials.get_mut().clear();
        self.rounds = self.rounds.saturating_add(1);
        self.rounds
    }

    /// Records a failed exchange. A closed idle connection happens at most once per request, so it does not count as an
    /// attempt. Returns whether the endpoint has failed.
    pub(super) fn failed(&mut self, connection: &Connection, error: &Error, worker: usize, now: Instant) -> bool {
        let endpoint = connection.endpoint();
        if error.kind == Kind::ResponseTimeout && error.retry == Retry::Never && self.attempts > 1 {
            // The endpoints before it have used up the time of the request.
            endpoint.stats.of(worker).timeouts.add(1);
            return false;
        }
        let failure = count_failure(connection, error, worker, now);
        match failure {
            Failure::Client => return false,
            Failure::Endpoint => {
                self.trial_failed(endpoint.id);
                self.exclude(endpoint);
            }
            Failure::Stale => {
                if !self.replayable && error.retry != Retry::Unsent {
                    // The connection was open and fresh, so it is more likely that the endpoint died.
                    endpoint.suspicion.failed(now);
                }
                // Behind a mesh the next one may be an idle connection as well.
                if !self.stale {
                    self.attempts = self.attempts.saturating_sub(1);
                }
                self.stale = true;
            }
        }
        failure == Failure::Endpoint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtime_is_not_trusted_after_a_closed_connection_or_with_a_request_that_can_be_sent_only_once() {
        for (replayable, stale, expected) in [
            (true, false, Demand::Open),
            (true, true, Demand::OpenInKernel),
            (false, false, Demand::Fresh),
            (false, true, Demand::Fresh),
        ] {
            let state = RetryState { stale, ..RetryState::new(replayable, Affinity::default()) };
            assert_eq!(state.demand(), expected, "{replayable} {stale}");
        }
    }
}
