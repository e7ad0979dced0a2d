//! Services and their tasks.

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Name, prefixed with the name of its stack.
    pub name: String,
    /// Name of its stack.
    pub stack: Option<String>,
    /// Scheduling mode.
    pub mode: Mode,
    /// Number of tasks that should run now: the replicas, or one for each eligible node.
    pub desired: u32,
    /// Number of running tasks.
    pub running: u32,
    /// Progress of a job; `None` for a service of another mode. Its `desired` and `running` are about the tasks that
    /// should run now, of which a completed job has none.
    #[serde(default)]
    pub job: Option<Job>,
    /// Why fewer tasks run than desired, or why a job failed, in the engine's words; `None` if all is well or the engine
    /// does not say.
    #[serde(default)]
    pub problem: Option<String>,
    /// Image of its current specification.
    pub image: Image,
    /// Published ports, in ascending order.
    pub ports: Vec<u16>,
    /// The last update or rollback; `None` if there never was one.
    pub update: Option<Update>,
    /// When its specification last changed.
    pub updated_at: Option<Millis>,
}

/// Scheduling mode of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A given number of tasks, on any nodes.
    #[default]
    Replicated,
    /// One task on each node.
    Global,
    /// Tasks that run to completion.
    Job,
}

/// Progress of a job's current execution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Number of tasks that must complete.
    pub total: u32,
    /// Number of tasks that have completed.
    pub completed: u32,
    /// Number of tasks that failed and are not run again.
    pub failed: u32,
}

/// The parts of an image's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Registry and path, without tag and digest.
    pub name: String,
    /// Tag; `latest` if there is neither a tag nor a digest.
    pub tag: Option<String>,
    /// First twelve hexadecimal digits of the digest.
    pub digest: Option<String>,
}

/// An update or rollback of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// Progress.
    pub state: UpdateState,
    /// The engine's message about it.
    pub message: String,
    /// When it started.
    pub started_at: Option<Millis>,
    /// When it completed.
    pub completed_at: Option<Millis>,
}

/// Progress of an update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateState {
    /// A state this version does not know.
    #[default]
    Unknown,
    /// Tasks are being replaced.
    Updating,
    /// The update failed and waits for an operator.
    Paused,
    /// All tasks are replaced.
    Completed,
    /// The update failed, and the tasks are being rolled back.
    RollbackStarted,
    /// The rollback failed and waits for an operator.
    RollbackPaused,
    /// All tasks are rolled back.
    RollbackCompleted,
}

/// A task: a container that will run, runs or has run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// `SERVICE.SLOT`, or `SERVICE.NODE` for a global service.
    pub name: String,
    /// Id of its service.
    pub service: String,
    /// Slot number among the replicas; `None` for a global service.
    pub slot: Option<u64>,
    /// Id of its node; `None` until it is assigned.
    pub node: Option<String>,
    /// Current state.
    pub state: TaskState,
    /// Desired state, usually `running` or `shutdown`.
    pub desired: TaskState,
    /// Result of its health check.
    pub health: Health,
    /// Image.
    pub image: Image,
    /// When it was created.
    pub created_at: Option<Millis>,
    /// When it entered its current state.
    pub since: Option<Millis>,
    /// Number of earlier tasks in its slot that ended by themselves, as far as the engine remembers and this
    /// process has seen.
    pub restarts: u32,
    /// The engine's message about its state.
    pub message: Option<String>,
    /// Why it failed or cannot start.
    pub error: Option<String>,
    /// Exit code of its program.
    pub exit_code: Option<i64>,
}

/// State of a task, in the order of its lifecycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(
    missing_docs,
    reason = "defined by the engine: docs.docker.com/engine/swarm/how-swarm-mode-works/swarm-task-states"
)]
pub enum TaskState {
    #[default]
    Unknown,
    New,
    Allocated,
    Pending,
    Assigned,
    Accepted,
    Preparing,
    Ready,
    Starting,
    Running,
    Complete,
    Shutdown,
    Failed,
    Rejected,
    Remove,
    Orphaned,
}

/// Health of a task, derived from its state: the engine reports a task as `running` once its check has passed
/// for the first time, and ends it when the check fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// No check is configured, or the task does not run.
    #[default]
    None,
    /// The check has not passed yet.
    Starting,
    /// The check passes.
    Healthy,
    /// The check failed, and the task ended.
    Unhealthy,
}
