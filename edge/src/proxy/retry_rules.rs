//! Decides during an attempt whether another one would be better: because the endpoint is down or late, or because of
//! the status with which it responds.

use crate::{
    proxy::{
        exchange::{Attempt, Reason},
        pick::has_other,
        request_record::RequestRecord,
        retry_state::RetryState,
    },
    upstream::{
        Endpoint,
        connection::{Connection, ResponseHead},
    },
    worker::{PoolView, Worker},
};

/// The rules for one attempt.
pub(super) struct Rules<'r, F> {
    worker: &'r Worker,
    pool: &'r PoolView,
    record: &'r RequestRecord,
    retry_state: &'r RetryState,
    /// The method allows another attempt after an endpoint received the request.
    idempotent: bool,
    /// The id of the endpoint.
    endpoint: u64,
    /// The attempts beside this one.
    hedges: usize,
    /// Takes the head of a response that is passed on.
    on_head: F,
    /// What was decided so far.
    pub(super) decided: Decided,
}

/// What was decided about one attempt.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Decided {
    /// A retry was taken out of the budget.
    pub(super) paid: bool,
    /// The endpoint asks to wait before it gets the request again.
    pub(super) deferred: bool,
    /// The budget had no retry left, which is reported once.
    pub(super) over_budget: bool,
}

impl<'r, F> Rules<'r, F> {
    /// The rules for an attempt at `endpoint`. `on_head` takes the head of a response that is passed on.
    pub(super) fn new(
        worker: &'r Worker,
        pool: &'r PoolView,
        record: &'r RequestRecord,
        retry_state: &'r RetryState,
        idempotent: bool,
        endpoint: &Endpoint,
        on_head: F,
    ) -> Self {
        let decided = Decided::default();
        Self { worker, pool, record, retry_state, idempotent, endpoint: endpoint.id, hedges: 0, on_head, decided }
    }

    /// Takes a hedge out of the budget, if another endpoint is left. It is counted when it is [sent](Self::hedge_sent).
    pub(super) fn takes_hedge(&mut self) -> bool {
        if !has_other(self.pool, self.retry_state, self.endpoint) {
            return false;
        }
        let is_left = self.pool.handle.take_retry(self.worker.clock.now());
        if !is_left {
            self.report_over_budget();
        }
        is_left
    }

    /// Counts a hedge, which is an attempt like any other.
    pub(super) fn hedge_sent(&mut self) {
        self.record.hedge();
        self.hedges += 1;
    }

    /// Puts a hedge back into the budget that cannot be sent, or need not be any more.
    pub(super) fn hedge_not_sent(&self) {
        self.pool.handle.return_retry();
    }

    /// The attempts before this one, and whether this one is on trial.
    pub(super) fn retry_state(&self) -> &'r RetryState {
        self.retry_state
    }

    fn has_attempts(&self) -> bool {
        self.retry_state.attempts + self.hedges < self.pool.handle.config.attempts.get()
    }

    /// Takes a retry out of the budget, if there is one.
    fn pay(&mut self) -> bool {
        self.decided.paid = self.pool.handle.take_retry(self.worker.clock.now());
        if !self.decided.paid {
            self.report_over_budget();
        }
        self.decided.paid
    }

    fn report_over_budget(&mut self) {
        if !std::mem::replace(&mut self.decided.over_budget, true) {
            self.record.over_budget();
        }
    }

    /// Whether a response with this head is discarded, and the request sent again. The endpoint may get it again if no
    /// other one is left, but not if it asks to wait (RFC 9110 section 10.2.3).
    fn discards(&mut self, head: &ResponseHead<'_>, is_whole: bool) -> bool {
        let status = head.parts.status;
        if !self.pool.handle.config.retries(status) {
            return false;
        }
        let deferred = head.parts.fields.iter().any(|field| field.name.eq_ignore_ascii_case("retry-after"));
        let may_repeat = !deferred && self.retry_state.may_repeat();
        let is_possible = self.idempotent
            && is_whole
            && self.has_attempts()
            && (may_repeat || has_other(self.pool, self.retry_state, self.endpoint));
        let discards = is_possible && self.pay();
        self.decided.deferred = discards && deferred;
        discards
    }
}

impl<T, F: FnMut(&ResponseHead<'_>) -> T> Rules<'_, F> {
    /// Takes the head of a response that is passed on in any case.
    pub(super) fn accept(&mut self, head: &ResponseHead<'_>) -> T {
        (self.on_head)(head)
    }
}

impl<T, F: FnMut(&ResponseHead<'_>) -> T> Attempt<(u16, Option<T>)> for Rules<'_, F> {
    fn gives_up(&mut self, connection: &Connection, reason: Reason, is_whole: bool) -> bool {
        if !self.idempotent || !is_whole {
            return false;
        }
        let is_better = match reason {
            Reason::Down => {
                let is_down = || connection.endpoint().is_down() && !self.pool.handle.snapshot.load().panic;
                connection.is_suspect() || is_down()
            }
            Reason::Late => self.has_attempts() && has_other(self.pool, self.retry_state, self.endpoint),
        };
        // Without a retry left, the endpoint may still respond.
        is_better && self.pay()
    }

    fn on_head(&mut self, head: &ResponseHead<'_>, is_whole: bool) -> (u16, Option<T>) {
        let status = head.parts.status;
        if self.discards(head, is_whole) { (status, None) } else { (status, Some(self.accept(head))) }
    }
}
