//! The Redis servers of the counter.

use super::observation::Observation;
use crate::{
    alert::{condition::Condition, rule::Rule},
    cluster_state::{ClusterState, Redis, Role, Severity},
};

pub(super) fn conditions(cluster: &ClusterState, found: &mut Observation) {
    let Some(redis) = &cluster.redis else { return };
    // Redis has not been asked yet.
    if redis.at.is_none() && redis.error.is_none() {
        found.unknown(Rule::RedisMaster, "");
        found.unknown(Rule::RedisReplica, "");
        return;
    }
    if let Some(summary) = no_master(redis) {
        found.conditions.push(Condition::new(Rule::RedisMaster, "count", Severity::Critical, summary));
        // Only a master knows its replicas.
        found.unknown(Rule::RedisReplica, "");
    } else if redis.sentinels > 0 && !has_replica(redis) {
        let master = redis.master.as_deref().unwrap_or("the master");
        let summary =
            format!("no replica follows {master}: it accepts no writes, and only one copy of the count remains");
        found.conditions.push(Condition::new(Rule::RedisReplica, "count", Severity::Critical, summary));
    }
}

fn no_master(redis: &Redis) -> Option<String> {
    if redis.sentinels > 0 && redis.sentinels_up == 0 {
        return Some(format!("none of {} sentinels answers: the master is unknown", redis.sentinels));
    }
    let why = || redis.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
    let Some(master) = &redis.master else { return Some(format!("no Redis is master{}", why())) };
    let is_up = redis.servers.iter().any(|server| server.role == Role::Master && server.up);
    (!is_up).then(|| format!("the Redis master {master} does not answer{}", why()))
}

fn has_replica(redis: &Redis) -> bool {
    redis.servers.iter().any(|server| server.role == Role::Replica && server.up)
}
