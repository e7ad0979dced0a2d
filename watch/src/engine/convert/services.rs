//! Services, and the number of their running tasks.

use std::collections::{BTreeMap, HashMap};

use super::{
    super::wire,
    field::{message, millis},
    image::image,
};
use crate::cluster_state::{Mode, Service, Task, TaskState, Update, UpdateState};

pub(super) fn services(list: &[wire::Service], tasks: &BTreeMap<String, Task>) -> BTreeMap<String, Service> {
    let mut by_service: HashMap<&str, Vec<&Task>> = HashMap::new();
    for task in tasks.values() {
        by_service.entry(&task.service).or_default().push(task);
    }
    let entries = list.iter().filter(|entry| !entry.id.is_empty());
    let services = entries.map(|entry| {
        let tasks = by_service.get(entry.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        (entry.id.clone(), service(entry, tasks))
    });
    services.collect()
}

fn service(entry: &wire::Service, tasks: &[&Task]) -> Service {
    let spec = &entry.spec;
    let mode = mode(&spec.mode);
    let replicas = spec.mode.replicated.as_ref().map(|replicated| replicated.replicas.unwrap_or(1));
    let container = spec.task_template.container_spec.as_ref();
    let ports = entry.endpoint.iter().flat_map(|endpoint| endpoint.ports.iter().flatten());
    let mut ports: Vec<u16> = ports.filter_map(|port| port.published_port).filter(|port| *port > 0).collect();
    ports.sort_unstable();
    ports.dedup();
    let desired = tasks.iter().filter(|task| is_wanted(task, mode)).count();
    let running = tasks.iter().filter(|task| task.state == TaskState::Running && is_wanted(task, mode)).count();
    Service {
        name: spec.name.clone(),
        stack: spec.labels.as_ref().and_then(|labels| message(labels.stack.as_ref())),
        mode,
        desired: replicas.map_or(number(desired), |replicas| u32::try_from(replicas).unwrap_or(u32::MAX)),
        running: number(running),
        image: image(container.map(|container| container.image.as_str()).unwrap_or_default()),
        ports,
        update: entry.update_status.as_ref().and_then(update),
        updated_at: millis(entry.updated_at.as_ref()),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn mode(mode: &wire::ServiceMode) -> Mode {
    if mode.global.is_some() {
        Mode::Global
    } else if mode.replicated_job.is_some() || mode.global_job.is_some() {
        Mode::Job
    } else {
        Mode::Replicated
    }
}

/// Whether the engine wants the task to run now. The desired state of a job's task is `complete`; it is wanted
/// until then.
fn is_wanted(task: &Task, mode: Mode) -> bool {
    match mode {
        Mode::Job => task.desired == TaskState::Complete && task.state < TaskState::Complete,
        Mode::Replicated | Mode::Global => task.desired > TaskState::Unknown && task.desired <= TaskState::Running,
    }
}

/// Converts an update; the engine reports an empty state if there never was one.
fn update(entry: &wire::UpdateStatus) -> Option<Update> {
    let state = match entry.state.as_str() {
        "" => return None,
        "updating" => UpdateState::Updating,
        "paused" => UpdateState::Paused,
        "completed" => UpdateState::Completed,
        "rollback_started" => UpdateState::RollbackStarted,
        "rollback_paused" => UpdateState::RollbackPaused,
        "rollback_completed" => UpdateState::RollbackCompleted,
        _ => UpdateState::Unknown,
    };
    Some(Update {
        state,
        message: message(Some(&entry.message)).unwrap_or_default(),
        started_at: millis(entry.started_at.as_ref()),
        completed_at: millis(entry.completed_at.as_ref()),
    })
}
