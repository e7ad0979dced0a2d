//! Services and their tasks.

use serde::{Deserialize, Serialize};

use super::Millis;

/// What should run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name, with the stack's in front.
    pub name: String,
    /// The stack that it belongs to.
    pub stack: Option<String>,
    /// How many tasks it should have.
    pub mode: Mode,
    /// Tasks that should run at present: the replicas, or one for each node that fits.
    pub desired: u32,
    /// Tasks that run.
    pub running: u32,
    /// What its tasks are to run.
    pub image: Image,
    /// Ports that clients use, ascending.
    pub ports: Vec<u16>,
    /// The last update or roll-back; `None` if there never was one.
    pub update: Option<Update>,
    /// When it was last changed.
    pub updated_at: Option<Millis>,
}

/// How many tasks a service should have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// So many, wherever there is room.
    #[default]
    Replicated,
    /// One on each node.
    Global,
    /// So many that end by themselves.
    Job,
}

/// An image's name, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Registry and path, without tag and digest.
    pub name: String,
    /// The tag; `latest` where none is named and there is no digest.
    pub tag: Option<String>,
    /// The first twelve hexadecimal digits of the digest.
    pub digest: Option<String>,
}

/// An update or a roll-back of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// How far it is.
    pub state: UpdateState,
    /// What the engine says about it.
    pub message: String,
    /// When it began.
    pub started_at: Option<Millis>,
    /// When it ended.
    pub completed_at: Option<Millis>,
}

/// How far an update is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateState {
    /// A state that this program does not know.
    #[default]
    Unknown,
    /// Tasks are being replaced.
    Updating,
    /// It failed, and waits for somebody.
    Paused,
    /// All are new.
    Completed,
    /// It failed, and the old ones come back.
    RollbackStarted,
    /// The way back failed, and waits for somebody.
    RollbackPaused,
    /// All are as before.
    RollbackCompleted,
}

/// One container that runs, will run or has run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// `SERVICE.SLOT`, or `SERVICE.NODE` for one of a global service.
    pub name: String,
    /// Id of its service.
    pub service: String,
    /// Its number among the replicas; `None` for a global service.
    pub slot: Option<u64>,
    /// Id of its node; `None` until it has one.
    pub node: Option<String>,
    /// What it does.
    pub state: TaskState,
    /// What it should do: `running` or `shutdown`, mostly.
    pub desired: TaskState,
    /// Whether it passes its health check.
    pub health: Health,
    /// What it runs.
    pub image: Image,
    /// When it was made.
    pub created_at: Option<Millis>,
    /// Since when it is in its state.
    pub since: Option<Millis>,
    /// How many earlier tasks in its place ended by themselves, as far as the engine remembers and this
    /// process has seen.
    pub restarts: u32,
    /// What the engine says about its state.
    pub message: Option<String>,
    /// Why it ended or cannot start.
    pub error: Option<String>,
    /// How its program ended.
    pub exit_code: Option<i64>,
}

/// A task's state, in the order in which it goes through them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(
    missing_docs,
    reason = "the engine's own words: docs.docker.com/engine/swarm/how-swarm-mode-works/swarm-task-states"
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

/// Whether a task passes its health check, as its state tells: the engine calls a task `running` when
/// its check has passed for the first time, and ends it when it fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It has no check, or does not run.
    #[default]
    None,
    /// Not yet passed.
    Starting,
    /// Passed.
    Healthy,
    /// Ended because it failed.
    Unhealthy,
}
