//! Services, their updates, and crash loops.

use std::collections::{BTreeMap, BTreeSet};

use super::{lookup::lost, observation::Observation, restarts::Restarts};
use crate::{
    alert::{
        condition::{Condition, Subject},
        rule::{Rule, Rules},
    },
    cluster_state::{ClusterState, Millis, Mode, Service, Severity, Update, UpdateState},
};

/// How much longer a service may be below its replicas while it is being updated.
const UPDATE: Millis = 5 * 60_000;

pub(super) fn conditions(
    cluster: &ClusterState,
    restarts: &Restarts,
    rules: &Rules,
    now: Millis,
    found: &mut Observation,
) {
    let causes = causes(cluster);
    for (id, service) in &cluster.services {
        let about = |mut condition: Condition| {
            condition.subject.service = Some(id.clone());
            condition.subject.service_name = Some(service.name.clone());
            condition
        };
        found.conditions.extend(below(id, service, causes.get(id.as_str())).map(about));
        found.conditions.extend(job_failed(id, service).map(about));
        if let Some(update) = &service.update {
            found.conditions.extend(failed(id, service, update, rules, now).map(about));
        }
    }
    crash_loops(cluster, restarts, rules, now, found);
}

/// Returns by service the alerts of the lost nodes that its tasks were or are on.
fn causes(cluster: &ClusterState) -> BTreeMap<&str, BTreeSet<String>> {
    let mut causes: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for task in cluster.tasks.values() {
        if let Some(cause) = task.node.as_deref().and_then(|node| lost(cluster, node)) {
            causes.entry(&task.service).or_default().insert(cause);
        }
    }
    causes
}

fn below(id: &str, service: &Service, causes: Option<&BTreeSet<String>>) -> Option<Condition> {
    if service.mode == Mode::Job || service.running >= service.desired {
        return None;
    }
    let severity = if service.running == 0 { Severity::Critical } else { Severity::Warning };
    let mut summary = format!("{}: {} of {} tasks run", service.name, service.running, service.desired);
    append_problem(&mut summary, service);
    let mut condition = Condition::new(Rule::ServiceBelow, id, severity, summary);
    condition.causes = causes.into_iter().flatten().cloned().collect();
    let state = service.update.as_ref().map(|update| update.state);
    if matches!(state, Some(UpdateState::Updating | UpdateState::RollbackStarted)) {
        condition.extra_wait = UPDATE;
    }
    Some(condition)
}

fn job_failed(id: &str, service: &Service) -> Option<Condition> {
    let job = service.job.filter(|job| job.failed > 0)?;
    let mut summary = format!("{}: the job failed, {} of {} tasks completed", service.name, job.completed, job.total);
    append_problem(&mut summary, service);
    Some(Condition::new(Rule::JobFailed, id, Severity::Warning, summary))
}

fn append_problem(summary: &mut String, service: &Service) {
    if let Some(problem) = &service.problem {
        summary.push_str(": ");
        summary.push_str(problem);
    }
}

fn failed(id: &str, service: &Service, update: &Update, rules: &Rules, now: Millis) -> Option<Condition> {
    let recent = i64::try_from(rules.rollback_recent.as_millis()).unwrap_or(i64::MAX);
    let (severity, what) = match update.state {
        UpdateState::Paused => (Severity::Critical, "the update failed and is paused"),
        UpdateState::RollbackPaused => {
            (Severity::Critical, "the update failed, and so did its roll-back, which is paused")
        }
        UpdateState::RollbackStarted => (Severity::Warning, "the update failed and is being rolled back"),
        UpdateState::RollbackCompleted if update.completed_at.is_none_or(|at| now - at < recent) => {
            (Severity::Warning, "the update failed and was rolled back")
        }
        UpdateState::RollbackCompleted | UpdateState::Unknown | UpdateState::Updating | UpdateState::Completed => {
            return None;
        }
    };
    let mut summary = format!("{}: {what}", service.name);
    if !update.message.is_empty() {
        summary.push_str(": ");
        summary.push_str(&update.message);
    }
    Some(Condition::new(Rule::UpdateFailed, id, severity, summary))
}

fn crash_loops(cluster: &ClusterState, restarts: &Restarts, rules: &Rules, now: Millis, found: &mut Observation) {
    for (slot, ended) in restarts.loops(rules.crash_loop, now) {
        // The newest task best shows what is wrong.
        let newest = ended.last().and_then(|(_, id)| Some((id, cluster.tasks.get(id)?)));
        let Some((id, task)) = newest else { continue };
        let Some(service) = cluster.services.get(&task.service) else { continue };
        let minutes = rules.crash_loop.window.as_secs_f64() / 60.0;
        let mut summary = format!("{} ended {} times within {minutes:.0} min", task.name, ended.len());
        let why = [&task.error, &task.message].into_iter().flatten().find(|text| !text.is_empty());
        if let Some(why) = why {
            summary.push_str(": ");
            summary.push_str(why);
        }
        let mut condition = Condition::new(Rule::CrashLoop, slot, Severity::Warning, summary);
        condition.subject = Subject {
            node_name: task.node.as_ref().and_then(|node| cluster.nodes.get(node)).map(|node| node.hostname.clone()),
            node: task.node.clone(),
            service: Some(task.service.clone()),
            service_name: Some(service.name.clone()),
            task: Some(id.clone()),
            task_name: Some(task.name.clone()),
        };
        condition.causes = task.node.as_deref().and_then(|node| lost(cluster, node)).into_iter().collect();
        found.conditions.push(condition);
    }
}
