//! How often tasks have ended by themselves, by slot.
//!
//! The engine keeps only a few tasks of each slot, so this remembers what it showed. What it still shows is
//! enough after a start: a new instance finds the same crash loops.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    alert::rule::CrashLoop,
    cluster_state::{ClusterState, Millis, Mode, Task, TaskState},
};

/// The longest window that can be configured.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

const LONGEST: Millis = 24 * 60 * 60_000;

/// The most ends that are remembered of each slot.
const MAX_ENDS: usize = 100;

/// The tasks that ended, by slot, with the time of their end; the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    slots: BTreeMap<String, BTreeSet<(Millis, String)>>,
}

impl Restarts {
    /// Processes a cluster state, and forgets what is too old.
    pub fn observe(&mut self, cluster: &ClusterState, now: Millis) {
        for (id, task) in &cluster.tasks {
            let Some(at) = ended(cluster, task) else { continue };
            if now - at > LONGEST {
                continue;
            }
            let slot = self.slots.entry(slot(task)).or_default();
            // The engine may report the time of the end more exactly later.
            slot.retain(|(_, other)| other != id);
            slot.insert((at, id.clone()));
            while slot.len() > MAX_ENDS {
                slot.pop_first();
            }
        }
        self.slots.retain(|_, ended| {
            ended.retain(|(at, _)| now - *at <= LONGEST);
            !ended.is_empty()
        });
    }

    /// Returns the slots with a crash loop, and the tasks that ended in each within the window.
    pub(super) fn loops(&self, limit: CrashLoop, now: Millis) -> impl Iterator<Item = (&str, Vec<&(Millis, String)>)> {
        let window = i64::try_from(limit.window.as_millis()).unwrap_or(LONGEST);
        let enough = usize::try_from(limit.restarts).unwrap_or(usize::MAX);
        self.slots.iter().filter_map(move |(slot, ended)| {
            let recent: Vec<_> = ended.iter().filter(|(at, _)| now - *at <= window).collect();
            (recent.len() >= enough).then_some((slot.as_str(), recent))
        })
    }
}

/// Returns when a task ended by itself. A task that was shut down, or was on a lost node, did not.
fn ended(cluster: &ClusterState, task: &Task) -> Option<Millis> {
    let by_itself = match task.state {
        TaskState::Failed | TaskState::Rejected => true,
        // Only a job is supposed to complete.
        TaskState::Complete => cluster.services.get(&task.service).is_some_and(|service| service.mode != Mode::Job),
        _ => false,
    };
    task.since.filter(|_| by_itself)
}

/// Returns the service and its slot, or its node.
fn slot(task: &Task) -> String {
    match (task.slot, &task.node) {
        (Some(slot), _) if slot > 0 => format!("{}.{slot}", task.service),
        (_, Some(node)) => format!("{}.{node}", task.service),
        (_, None) => task.service.clone(),
    }
}
