//! Ejections of a pool's endpoints, and what follows them.

use std::{net::SocketAddr, sync::Arc};

use super::{ON_PROBATION, PoolState, Timestamp};
use crate::{
    observe::decisions::Decision,
    upstream::{
        endpoint::{Endpoint, EndpointState},
        health::{
            error_share::Responses,
            outlier::{self, PoolCounts},
        },
        member::Member,
        probation::Verdict,
    },
};

impl PoolState {
    /// Applies the failure of a request, or the verdict on one that was on trial. Enough consecutive failures or server
    /// errors eject the endpoint.
    pub(in crate::upstream) fn request_failed(&mut self, endpoint: &Endpoint, now: Timestamp) {
        if self.member(endpoint).is_some_and(|member| member.outlier.is_on_probation()) {
            // Others than the one on trial may have been sent long before.
            self.trial_ended(endpoint, now);
            return;
        }
        let handle = Arc::clone(&self.handle);
        let ejection = &handle.config.ejection;
        let (failures, errors) = (endpoint.failures_in_a_row(), endpoint.errors_in_a_row());
        let by_failures = outlier::is_due(ejection, failures);
        if !by_failures && !outlier::is_due_to_errors(ejection, errors) {
            return;
        }
        let counts = self.counts();
        let Some(member) = self.member_mut(endpoint) else { return };
        let (ejected, what) = if by_failures {
            (member.eject(ejection, counts, now.instant), format!("{failures} consecutive requests failed"))
        } else {
            let ejected = member.eject_by_status(ejection, counts, now.instant);
            (ejected, format!("{errors} consecutive responses were server errors"))
        };
        let Some(duration) = ejected else {
            if member.state() == EndpointState::Healthy {
                handle.note(Decision::EjectionRefused, Some(endpoint.address), &what);
            }
            return;
        };
        member.record_ejection(&handle, &format!("{what}, ejected for {duration:?}"), now.wall_clock);
        self.publish();
    }

    /// Applies the verdict on a request that was on trial, if there is one.
    fn trial_ended(&mut self, endpoint: &Endpoint, now: Timestamp) {
        let Some(verdict) = endpoint.probation.verdict() else { return };
        let handle = Arc::clone(&self.handle);
        let counts = self.counts();
        let Some(member) = self.member_mut(endpoint) else { return };
        let address = Some(endpoint.address);
        // The reason for a drain stays: it is why the endpoint gets no requests.
        let drains = member.state() == EndpointState::Draining;
        match verdict {
            Verdict::Passed => {
                endpoint.checks.trials_passed.add(1);
                member.release(now.instant);
                endpoint.reset_failures();
                let reason = "a request on trial succeeded";
                if !drains {
                    member.record_state(reason, now.wall_clock);
                }
                handle.note(Decision::ProbationPassed, address, reason);
            }
            Verdict::Failed => {
                endpoint.checks.trials_failed.add(1);
                if let Some(duration) = member.eject_again(&handle.config.ejection, counts, now.instant) {
                    let reason = format!("a request on trial failed, ejected for {duration:?}");
                    member.record_ejection(&handle, &reason, now.wall_clock);
                } else if drains {
                    handle.note(
                        Decision::ProbationGoesOn,
                        address,
                        "a request on trial failed, but the endpoint drains",
                    );
                } else {
                    let reason = "a request on trial failed, but no other endpoint gets requests";
                    member.record_state(reason, now.wall_clock);
                    handle.note(Decision::ProbationGoesOn, address, reason);
                }
            }
        }
        self.publish();
    }

    /// Compares the statuses of the endpoints, and ejects those that give far more server errors than the others, the
    /// worst first.
    pub(in crate::upstream) fn compare_responses(&mut self, now: Timestamp) {
        let handle = Arc::clone(&self.handle);
        let ejection = &handle.config.ejection;
        let all: Responses = self.members.values_mut().map(Member::count_responses).sum();
        let compare = |(address, member): (&SocketAddr, &mut Member)| {
            member.compare_responses(ejection, all).map(|responses| (*address, responses))
        };
        let mut deviating: Vec<_> = self.members.iter_mut().filter_map(compare).collect();
        deviating.sort_by(|(_, one), (_, other)| other.share().total_cmp(&one.share()));
        for (address, Responses { total, errors }) in deviating {
            let counts = self.counts();
            let Some(member) = self.members.get_mut(&address) else { continue };
            let reason = format!("{errors} of {total} responses were server errors");
            let Some(duration) = member.eject_by_status(ejection, counts, now.instant) else {
                handle.note(Decision::EjectionRefused, Some(address), &reason);
                continue;
            };
            let reason = format!("{reason}, ejected for {duration:?}");
            member.record_ejection(&handle, &reason, now.wall_clock);
            // Its task waits for the end of the ejection.
            member.endpoint.wake();
            self.publish();
        }
    }

    /// Applies the end of an ejection's time. With health checks the endpoint is on probation when the next check
    /// passes, without them at once.
    pub(in crate::upstream) fn ejection_expired(&mut self, endpoint: &Endpoint, now: Timestamp) {
        let handle = Arc::clone(&self.handle);
        let Some(member) = self.member_mut(endpoint) else { return };
        if handle.config.health.is_some() {
            member.outlier.expire();
        } else {
            member.begin_probation(now.instant);
            if member.state() == EndpointState::Probation {
                member.record_state(ON_PROBATION, now.wall_clock);
                handle.note(Decision::ProbationBegan, Some(endpoint.address), ON_PROBATION);
            } else {
                // It drains as well.
                member.record_order(now.wall_clock);
            }
            self.publish();
        }
    }

    /// Ends an ejection or a probation early.
    fn release(&mut self, address: SocketAddr, now: Timestamp) {
        let Some(member) = self.members.get_mut(&address) else { return };
        member.release(now.instant);
        member.endpoint.reset_failures();
        member.record_state("its ejection ended", now.wall_clock);
        self.handle.note(Decision::EjectionEnded, Some(address), "");
    }

    /// Ends ejections, the earliest first, until the ejected share of a pool that shrank or was reconfigured is within
    /// its limit.
    pub(super) fn enforce_ejection_limit(&mut self, now: Timestamp) {
        loop {
            let PoolCounts { total, ejected, .. } = self.counts();
            if outlier::within_share(&self.handle.config.ejection, total, ejected) {
                return;
            }
            let is_out = |member: &&Member| member.outlier.is_ejected() || member.outlier.is_on_probation();
            let members = self.members.values().filter(is_out);
            let Some(first) = members.min_by_key(|member| member.outlier.until()) else { return };
            self.release(first.endpoint.address, now);
        }
    }

    fn counts(&self) -> PoolCounts {
        PoolCounts::of(self.members.values())
    }
}
