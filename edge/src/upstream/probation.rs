//! Probation: after an ejection an endpoint gets one request at a time, until one shows whether it works again.
//!
//! This is the half-open state of a circuit breaker (Nygard 2007, "Release It!"), as linkerd's proxy has it
//! (`breaker/consecutive_failures.rs`): one request decides, and a failure repeats the ejection for longer. Envoy lets
//! all traffic return at once, so that an endpoint which is still broken fails a herd of requests each time.
//!
//! One word, which all workers change with compare-and-swap, says whether a request may be tried. A request on trial
//! holds a ticket: if it ends without a verdict, because its client is gone, it gives the ticket back. A ticket is only
//! good for [`PATIENCE`], so that an upload or a long poll does not keep the endpoint out of use.

use std::{
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
    time::Duration,
};

/// How long a request on trial keeps others away. After it, the next request is tried, whose verdict counts instead.
const PATIENCE: Duration = Duration::from_secs(5);

/// It is not on probation.
const OFF: u64 = 0;
/// It is, and no request is on trial.
const OPEN: u64 = 1;
/// A request on trial succeeded, and the control thread has not noticed yet.
const PASSED: u64 = 2;
/// A request on trial failed, and the control thread has not noticed yet.
const FAILED: u64 = 3;
/// It was ejected again. Until its next probation nobody is admitted, not even those that have not seen the ejection.
const SHUT: u64 = 4;
/// Set in tickets only. Below it are the milliseconds at which the trial began, and a number.
const TICKET: u64 = 1 << 63;
/// The bits of the number, which tells apart the trials of one millisecond.
const NUMBER_BITS: u32 = 20;

/// Whether an endpoint is on probation, and which request is on trial.
#[derive(Debug, Default)]
pub struct Probation {
    state: AtomicU64,
    /// Whether a server error fails a trial: the endpoint was ejected because of such.
    strict: AtomicBool,
}

/// The right to try one request, and the identity of its trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// What an endpoint does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission<T = Ticket> {
    /// It is not on probation.
    Free,
    /// It is on probation, and this request is on trial.
    Trial(T),
    /// Another request is on trial.
    Refused,
}

/// What a request on trial showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint works.
    Passed,
    /// It still fails.
    Failed,
}

impl Probation {
    /// Begins it, without a request on trial. With `strict` a server error fails a trial.
    pub fn begin(&self, strict: bool) {
        self.strict.store(strict, Relaxed);
        self.state.store(OPEN, Release);
    }

    /// Ends it. A verdict of a request that is still on trial does not count any more.
    pub fn end(&self) {
        self.state.store(OFF, Release);
    }

    /// Ends it because the endpoint is ejected again. A worker may still pick from endpoints as they were before: without
    /// this it would send there what it likes.
    pub fn shut(&self) {
        self.state.store(SHUT, Release);
    }

    /// Whether a request would be admitted. `now` is the time since any moment, which is about the same for all calls
    /// and workers.
    #[must_use]
    pub fn admits(&self, now: Duration) -> bool {
        match self.state.load(Relaxed) {
            OFF | OPEN | PASSED => true,
            state => is_stale(state, now),
        }
    }

    /// Admits a request, unless another one is on trial. `now` is as for [`admits`](Self::admits).
    #[must_use]
    pub fn admit(&self, now: Duration) -> Admission {
        /// Numbers the trials of all endpoints.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let state = self.state.load(Acquire);
        if matches!(state, OFF | PASSED) {
            return Admission::Free;
        }
        if state != OPEN && !is_stale(state, now) {
            return Admission::Refused;
        }
        let number = NUMBER.fetch_add(1, Relaxed) % (1 << NUMBER_BITS);
        let ticket = TICKET | (millis(now) << NUMBER_BITS) | number;
        match self.state.compare_exchange(state, ticket, AcqRel, Acquire) {
            Ok(_) => Admission::Trial(Ticket(ticket)),
            Err(OFF | PASSED) => Admission::Free,
            Err(_) => Admission::Refused,
        }
    }

    /// Records the verdict of a trial, unless another one has replaced it. Returns whether it counts.
    pub fn settle(&self, ticket: Ticket, verdict: Verdict) -> bool {
        let state = match verdict {
            Verdict::Passed => PASSED,
            Verdict::Failed => FAILED,
        };
        self.replace(ticket, state)
    }

    /// Ends a trial without a verdict, so that another request can be tried.
    pub fn give_back(&self, ticket: Ticket) {
        self.replace(ticket, OPEN);
    }

    /// Returns the verdict that the control thread has not acted on yet.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        match self.state.load(Acquire) {
            PASSED => Some(Verdict::Passed),
            FAILED => Some(Verdict::Failed),
            _ => None,
        }
    }

    /// Whether a server error fails a trial.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.strict.load(Relaxed)
    }

    fn replace(&self, Ticket(ticket): Ticket, state: u64) -> bool {
        self.state.compare_exchange(ticket, state, AcqRel, Relaxed).is_ok()
    }
}

/// Whether a trial has lasted so long that another request may be tried.
fn is_stale(state: u64, now: Duration) -> bool {
    let began = (state & !TICKET) >> NUMBER_BITS;
    state & TICKET != 0 && millis(now).saturating_sub(began) >= millis(PATIENCE)
}

/// Milliseconds, in as many bits as a ticket has for them: enough for 278 years.
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX) & ((TICKET >> NUMBER_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, atomic::AtomicUsize},
        thread,
    };

    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn on_probation() -> Probation {
        let probation = Probation::default();
        probation.begin(false);
        probation
    }

    fn ticket(probation: &Probation, now: Duration) -> Ticket {
        let admission = probation.admit(now);
        let Admission::Trial(ticket) = admission else { panic!("{admission:?}") };
        ticket
    }

    #[test]
    fn one_request_is_on_trial_and_its_success_admits_all() {
        let probation = on_probation();
        assert!(probation.admits(NOW));
        let first = ticket(&probation, NOW);
        assert!(!probation.admits(NOW));
        assert_eq!(probation.admit(NOW), Admission::Refused);
        assert!(probation.settle(first, Verdict::Passed));
        assert_eq!((probation.verdict(), probation.admit(NOW)), (Some(Verdict::Passed), Admission::Free));
        probation.end();
        assert_eq!((probation.verdict(), probation.admit(NOW)), (None, Admission::Free));
    }

    #[test]
    fn after_a_failure_nobody_is_admitted_until_the_endpoint_is_ejected_or_tried_again() {
        let probation = on_probation();
        assert!(probation.settle(ticket(&probation, NOW), Verdict::Failed));
        assert!(!probation.admits(NOW * 2) && probation.admit(NOW * 2) == Admission::Refused);
        assert_eq!(probation.verdict(), Some(Verdict::Failed));
        probation.begin(false);
        assert!(probation.admits(NOW) && probation.verdict().is_none());
    }

    #[test]
    fn nobody_is_admitted_from_a_second_ejection_until_the_next_probation_or_its_end() {
        for ends in [false, true] {
            let probation = on_probation();
            let late = ticket(&probation, NOW);
            probation.shut();
            assert!(!probation.admits(NOW * 2) && probation.admit(NOW * 2) == Admission::Refused);
            assert!(probation.verdict().is_none() && !probation.settle(late, Verdict::Passed));
            if ends {
                probation.end();
                assert_eq!(probation.admit(NOW), Admission::Free);
            } else {
                probation.begin(false);
                ticket(&probation, NOW);
            }
        }
    }

    #[test]
    fn trial_without_a_verdict_makes_room_for_another() {
        let probation = on_probation();
        probation.give_back(ticket(&probation, NOW));
        assert!(probation.admits(NOW));
        ticket(&probation, NOW);
    }

    #[test]
    fn long_trial_is_replaced_and_its_verdict_no_longer_counts() {
        let probation = on_probation();
        let upload = ticket(&probation, NOW);
        assert!(!probation.admits(NOW + PATIENCE - Duration::from_millis(1)));
        assert!(probation.admits(NOW + PATIENCE));
        let second = ticket(&probation, NOW + PATIENCE);
        assert!(!probation.settle(upload, Verdict::Failed));
        probation.give_back(upload);
        assert!(!probation.admits(NOW + PATIENCE), "the second one is on trial");
        assert!(probation.settle(second, Verdict::Passed));
    }

    #[test]
    fn trial_of_an_earlier_probation_changes_nothing() {
        let probation = on_probation();
        let before = ticket(&probation, NOW);
        probation.end();
        probation.begin(true);
        let now = ticket(&probation, NOW);
        assert!(!probation.settle(before, Verdict::Passed));
        probation.give_back(before);
        assert!(!probation.admits(NOW) && probation.settle(now, Verdict::Failed));
    }

    #[test]
    fn of_many_threads_one_is_on_trial_at_a_time() {
        let (probation, on_trial, trials) = (Arc::new(on_probation()), Arc::default(), Arc::default());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let probation = Arc::clone(&probation);
                let (on_trial, trials): (Arc<AtomicUsize>, Arc<AtomicUsize>) =
                    (Arc::clone(&on_trial), Arc::clone(&trials));
                thread::spawn(move || {
                    while trials.load(Relaxed) < 2000 {
                        if let Admission::Trial(ticket) = probation.admit(NOW) {
                            assert_eq!(on_trial.fetch_add(1, AcqRel), 0);
                            trials.fetch_add(1, Relaxed);
                            on_trial.fetch_sub(1, AcqRel);
                            probation.give_back(ticket);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(probation.admits(NOW), "no ticket is lost");
    }

    proptest! {
        /// Whatever happens, at most one trial counts, and a ticket that is given back is free for the next.
        #[test]
        fn at_most_one_ticket_is_good(steps in prop::collection::vec((0_u8..5, 0_u64..9000), 0..60)) {
            let probation = on_probation();
            let (mut tickets, mut now) = (Vec::new(), NOW);
            for (step, millis) in steps {
                match step {
                    0 => now += Duration::from_millis(millis),
                    1 | 2 => {
                        let admits = probation.admits(now);
                        match probation.admit(now) {
                            Admission::Trial(ticket) => {
                                prop_assert!(admits);
                                tickets.push(ticket);
                            }
                            Admission::Free => prop_assert!(false, "it is on probation"),
                            Admission::Refused => prop_assert!(!admits),
                        }
                    }
                    3 => {
                        if let Some(ticket) = tickets.pop() {
                            probation.give_back(ticket);
                        }
                    }
                    _ => {
                        let counting = tickets.iter().filter(|ticket| probation.settle(**ticket, Verdict::Failed));
                        prop_assert!(counting.count() <= 1);
                        tickets.clear();
                        probation.begin(false);
                    }
                }
            }
            now += PATIENCE;
            prop_assert!(probation.admits(now), "no ticket keeps the endpoint out of use for ever");
        }
    }
}
