//! Pure: how conditions end, in words.
//!
//! What was wrong may have been repaired, or what it was about may no longer exist: a message must not say that a
//! node is up if it was removed.

use super::lookup::named;
use crate::{
    alert::{
        condition::Condition,
        rule::{Rule, Rules},
        time,
    },
    cluster_state::{ClusterState, Edge, Millis, NodeRole, Service, UpdateState},
};

/// How a condition ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// What was wrong is right again: a sentence to which the duration is added.
    Over(String),
    /// The condition can no longer hold, for example because its object was removed: a sentence.
    Gone(String),
}

impl End {
    /// The rule is no longer evaluated.
    #[must_use]
    pub fn disabled(rule: Rule) -> Self {
        Self::Gone(format!("the rule {rule} was disabled"))
    }

    /// Returns one sentence about a condition that lasted for `lasted` and came back `returns` times meanwhile.
    #[must_use]
    pub fn text(self, lasted: Millis, returns: u32) -> String {
        let span = time::span(lasted);
        match (self, returns) {
            (Self::Gone(text), _) => text,
            (Self::Over(text), 0) => format!("{text} after {span}"),
            (Self::Over(text), 1) => format!("{text} after {span}; it came back once meanwhile"),
            (Self::Over(text), times) => format!("{text} after {span}; it came back {times} times meanwhile"),
        }
    }
}

/// Describes how `condition`, which was found before, ended according to `cluster`.
#[must_use]
pub fn end(condition: &Condition, cluster: &ClusterState, rules: &Rules, now: Millis) -> End {
    if !rules.of(condition.rule).enabled {
        return End::disabled(condition.rule);
    }
    match condition.rule {
        Rule::QuorumLost => End::Over("the swarm has its quorum again".to_owned()),
        Rule::QuorumAtRisk => {
            let quorum = cluster.quorum;
            End::Over(format!("{} of {} managers are reachable again", quorum.reachable, quorum.managers))
        }
        Rule::NodeDown | Rule::ManagerUnreachable | Rule::Disk | Rule::PictureStale => of_node(condition, cluster),
        Rule::RedisMaster | Rule::RedisReplica => of_redis(condition.rule, cluster),
        Rule::EdgePool | Rule::EdgeDown => of_edge(condition, cluster),
        Rule::ServiceBelow | Rule::UpdateFailed | Rule::CrashLoop | Rule::JobFailed => {
            of_service(condition, cluster, rules)
        }
        Rule::Certificate | Rule::SelfSigned => of_certificate(condition, cluster, rules, now),
        // The notifier knows more about it.
        Rule::ChannelFailing => End::Gone("no further message has failed".to_owned()),
    }
}

fn of_node(condition: &Condition, cluster: &ClusterState) -> End {
    const GIB: u64 = 1 << 30;
    let id = condition.what();
    let Some(node) = cluster.nodes.get(id) else {
        let name = condition.subject.node_name.as_deref().unwrap_or(id);
        return End::Gone(format!("{name} was removed from the swarm"));
    };
    let name = named(id, node);
    match condition.rule {
        Rule::NodeDown => End::Over(format!("{name} is up again")),
        Rule::ManagerUnreachable if node.role == NodeRole::Manager => {
            End::Over(format!("the other managers reach {name} again"))
        }
        Rule::ManagerUnreachable => End::Gone(format!("{name} is no longer a manager")),
        Rule::Disk => match node.disk {
            Some(disk) => End::Over(format!(
                "{name}: {} GiB of the disk's {} GiB are free again",
                disk.free_bytes / GIB,
                disk.total_bytes / GIB
            )),
            None => End::Gone(format!("the disk of {name} is no longer watched")),
        },
        _ if *id == cluster.source.node => End::Over(format!("the engine of {name} reports the cluster state again")),
        _ => End::Gone(format!("the instance on {name} no longer reports that its engine is silent")),
    }
}

fn of_redis(rule: Rule, cluster: &ClusterState) -> End {
    let Some(redis) = &cluster.redis else { return End::Gone("Redis is no longer watched".to_owned()) };
    let master = redis.master.as_deref().unwrap_or("the master");
    match rule {
        Rule::RedisMaster => End::Over(format!("{master} answers as Redis master")),
        _ if redis.sentinels == 0 => End::Gone("Redis is watched without sentinels".to_owned()),
        _ => End::Over(format!("a replica follows {master} again")),
    }
}

fn of_edge(condition: &Condition, cluster: &ClusterState) -> End {
    let what = condition.what();
    let (id, pool) = match condition.rule {
        Rule::EdgePool => what.split_once('/').unwrap_or((what, "")),
        _ => (what, ""),
    };
    let node = condition.subject.node_name.as_deref();
    let name = match cluster.nodes.get(id) {
        Some(node) => format!("the edge on {}", named(id, node)),
        None => format!("the edge {}{}", if node.is_some() { "on " } else { "" }, node.unwrap_or(id)),
    };
    let is_it = |(address, edge): &(&String, &Edge)| edge.node.as_ref().unwrap_or(address) == id;
    let Some((_, edge)) = cluster.edges.iter().find(is_it) else { return End::Gone(format!("{name} was removed")) };
    if condition.rule == Rule::EdgeDown {
        return End::Over(format!("{name} answers again"));
    }
    match edge.pools.iter().find(|other| other.name == pool) {
        Some(pool) => {
            let (usable, all) = (pool.usable, pool.endpoints.len());
            End::Over(format!("{name}: its pool {} has {usable} of {all} endpoints usable again", pool.name))
        }
        None => End::Gone(format!("{name} no longer has a pool {pool}")),
    }
}

fn of_service(condition: &Condition, cluster: &ClusterState, rules: &Rules) -> End {
    let subject = &condition.subject;
    let id = subject.service.as_deref().unwrap_or(condition.what());
    let Some(service) = cluster.services.get(id) else {
        return End::Gone(format!("{} was removed", subject.service_name.as_deref().unwrap_or(id)));
    };
    let Service { name, running, desired, .. } = service;
    match condition.rule {
        Rule::ServiceBelow if *desired == 0 => End::Gone(format!("{name} was scaled to 0 tasks")),
        Rule::ServiceBelow => End::Over(format!("{name}: {running} of {desired} tasks run again")),
        Rule::JobFailed => match service.job {
            Some(job) if job.completed >= job.total => End::Gone(format!("{name}: the job has completed")),
            Some(_) => End::Gone(format!("{name}: the job was started again")),
            None => End::Gone(format!("{name} is no longer a job")),
        },
        Rule::CrashLoop => {
            let task = subject.task_name.as_ref().unwrap_or(name);
            let (least, window) = (rules.crash_loop.restarts, time::span(time::millis(rules.crash_loop.window)));
            End::Gone(format!("{task} has ended fewer than {least} times within {window}"))
        }
        _ => match service.update.as_ref().map(|update| update.state) {
            Some(UpdateState::Updating) => End::Gone(format!("{name} is being updated anew")),
            Some(UpdateState::Completed) => End::Gone(format!("the update of {name} has completed")),
            Some(UpdateState::RollbackCompleted) => {
                let recent = time::span(time::millis(rules.rollback_recent));
                End::Gone(format!("{name} runs as before its update, which was rolled back {recent} ago"))
            }
            _ => End::Gone(format!("no update of {name} has failed any more")),
        },
    }
}

fn of_certificate(condition: &Condition, cluster: &ClusterState, rules: &Rules, now: Millis) -> End {
    let names = condition.what();
    let certificates = cluster.edges.values().flat_map(|edge| &edge.certificates);
    let mut presented = certificates.filter(|other| other.names.join(",") == names).peekable();
    if presented.peek().is_none() {
        return End::Gone(format!("no edge presents a certificate for {names} any more"));
    }
    if condition.rule == Rule::SelfSigned {
        return End::Gone(format!("no edge presents a self-signed certificate for {names} any more"));
    }
    let earliest = presented.filter(|other| !other.self_signed).filter_map(|other| other.not_after).min();
    match earliest {
        Some(at) if at - now >= time::millis(rules.certificate.warning) => {
            End::Gone(format!("the certificate for {names} was renewed: it expires on {}", time::date(at)))
        }
        Some(at) => End::Gone(format!("the certificate for {names} expires on {}", time::date(at))),
        None => End::Gone(format!("no edge presents a certificate for {names} that expires")),
    }
}
