//! Pure: finds what is wrong in a cluster state.
//!
//! Every instance finds the same condition under the same fingerprint, whichever engine it asks. What a cluster
//! state does not contain is neither wrong nor right: [`Observation::unknown`] names it, and alerts about it do
//! not change.

mod edges;
mod end;
mod lookup;
mod nodes;
mod observation;
mod redis;
mod restarts;
mod services;
#[cfg(test)]
mod tests;

pub use self::{
    end::{End, end},
    lookup::is_stale,
    observation::Observation,
    restarts::{LONGEST_WINDOW, Restarts},
};
use super::rule::{Rule, Rules};
use crate::cluster_state::{ClusterState, Millis};

/// Returns everything that is wrong in `cluster`.
#[must_use]
pub fn conditions(cluster: &ClusterState, restarts: &Restarts, rules: &Rules, now: Millis) -> Observation {
    let mut found = Observation::default();
    if is_stale(cluster, now) {
        use Rule::{
            Certificate, CrashLoop, Disk, EdgeDown, EdgePool, JobFailed, ManagerUnreachable, NodeDown, QuorumAtRisk,
            RedisMaster, RedisReplica, SelfSigned, ServiceBelow, UpdateFailed,
        };
        for rule in [NodeDown, ManagerUnreachable, QuorumAtRisk, ServiceBelow, UpdateFailed, CrashLoop, JobFailed, Disk]
        {
            found.unknown(rule, "");
        }
        // A node that is cut off reaches neither Redis nor edges, and would report them all as lost. The other
        // instances report on them; if every node is cut off, the lost quorum is the alert to send.
        for rule in [RedisMaster, RedisReplica, EdgePool, EdgeDown, Certificate, SelfSigned] {
            found.unknown(rule, "");
        }
        nodes::stale(cluster, &mut found);
    } else {
        nodes::conditions(cluster, rules, &mut found);
        services::conditions(cluster, restarts, rules, now, &mut found);
        redis::conditions(cluster, &mut found);
        edges::conditions(cluster, rules, now, &mut found);
    }
    nodes::quorum_lost(cluster, now, &mut found);
    found.conditions.retain_mut(|condition| {
        let setting = rules.of(condition.rule);
        condition.severity = setting.severity.unwrap_or(condition.severity);
        setting.enabled
    });
    found
}
