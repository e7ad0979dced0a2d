//! Services: the number of their running tasks, the progress of jobs, and what keeps tasks from running.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    super::wire,
    field::{message, millis},
    image::image,
};
use crate::cluster_state::{Job, Mode, Service, Task, TaskState, Update, UpdateState};

pub(super) fn services(
    list: &[wire::Service],
    task_list: &[wire::Task],
    tasks: &BTreeMap<String, Task>,
) -> BTreeMap<String, Service> {
    let iterations = task_list.iter().filter_map(|entry| Some((entry.id.as_str(), entry.job_iteration?)));
    let iterations: HashMap<&str, wire::Iteration> = iterations.collect();
    let mut by_service: HashMap<&str, Vec<(&String, &Task)>> = HashMap::new();
    for (id, task) in tasks {
        by_service.entry(&task.service).or_default().push((id, task));
    }
    let entries = list.iter().filter(|entry| !entry.id.is_empty());
    let services = entries.map(|entry| {
        let tasks = by_service.get(entry.id.as_str()).map(Vec::as_slice).unwrap_or_default();
        let current = entry.job_status.as_ref().and_then(|status| status.job_iteration);
        // The engine still lists the tasks of a job's earlier executions.
        let is_current = |id: &str| current.is_none() || iterations.get(id).copied() == current;
        let tasks = tasks.iter().filter(|(id, _)| is_current(id)).map(|(_, task)| *task);
        (entry.id.clone(), service(entry, &tasks.collect::<Vec<_>>()))
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
    let desired = replicas.map_or(number(desired), |replicas| u32::try_from(replicas).unwrap_or(u32::MAX));
    let running = number(running);
    let job = (mode == Mode::Job).then(|| job(&spec.mode, tasks));
    let is_short = running < desired || job.is_some_and(|job| job.failed > 0);
    Service {
        name: spec.name.clone(),
        stack: spec.labels.as_ref().and_then(|labels| message(labels.stack.as_ref())),
        mode,
        desired,
        running,
        job,
        problem: is_short.then(|| problem(tasks, mode)).flatten(),
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

/// A slot of a replicated service, or the node of a global one.
fn slot(task: &Task) -> (Option<u64>, Option<&str>) {
    (task.slot, if task.slot.is_none() { task.node.as_deref() } else { None })
}

/// Counts the slots of a job's current execution. A slot failed if its newest task did and no other is prepared.
fn job(mode: &wire::ServiceMode, tasks: &[&Task]) -> Job {
    let slots = |is: &dyn Fn(&Task) -> bool| {
        tasks.iter().filter(|task| is(task)).map(|task| slot(task)).collect::<BTreeSet<_>>()
    };
    let all = slots(&|_| true);
    let completed = slots(&|task| task.state == TaskState::Complete);
    let active = slots(&|task| task.state < TaskState::Complete && task.desired <= TaskState::Complete);
    let failed = slots(&|task| matches!(task.state, TaskState::Failed | TaskState::Rejected));
    let failed = failed.iter().filter(|slot| !completed.contains(*slot) && !active.contains(*slot)).count();
    let total = mode.replicated_job.as_ref().map(|job| job.total_completions.or(job.max_concurrent).unwrap_or(1));
    Job {
        total: total.map_or(number(all.len()), |total| u32::try_from(total).unwrap_or(u32::MAX)),
        completed: number(completed.len()),
        failed: number(failed),
    }
}

/// Returns why tasks do not run: the error of the newest task that should run and does not, such as "no suitable node",
/// or else that of the newest failed task, such as "No such image", in a slot where none runs or has run since.
fn problem(tasks: &[&Task], mode: Mode) -> Option<String> {
    let waits = |task: &&Task| task.error.is_some() && task.state < TaskState::Running && is_wanted(task, mode);
    let waiting = tasks.iter().copied().filter(waits).max_by_key(|task| task.created_at);
    let failed = || {
        let running = tasks.iter().filter(|task| task.state == TaskState::Running && is_wanted(task, mode));
        let running: BTreeSet<_> = running.map(|task| slot(task)).collect();
        // A task that ran shows that the reasons of those before it in its slot are gone.
        let mut last: BTreeMap<_, &Task> = BTreeMap::new();
        for task in tasks.iter().copied().filter(|task| task.state >= TaskState::Running) {
            let newest = last.entry(slot(task)).or_insert(task);
            if newest.created_at < task.created_at {
                *newest = task;
            }
        }
        let failed = last.into_iter().filter(|(slot, task)| {
            let has_failed = matches!(task.state, TaskState::Failed | TaskState::Rejected);
            has_failed && task.error.is_some() && !running.contains(slot)
        });
        failed.map(|(_, task)| task).max_by_key(|task| task.created_at)
    };
    waiting.or_else(failed)?.error.clone()
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
