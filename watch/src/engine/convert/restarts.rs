//! Counts how often the tasks of a slot ended by themselves.
//!
//! A slot is a slot of a replicated service, or a node for a global service. The engine remembers the last few
//! tasks of each slot; tasks it has forgotten are still counted here, for as long as the slot has any task.

use std::collections::{BTreeMap, HashMap};

use crate::cluster_state::{Task, TaskState};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Slot {
    service: String,
    number: Option<u64>,
    /// Set for a global service.
    node: Option<String>,
}

impl Slot {
    fn of(task: &Task) -> Self {
        let node = if task.slot.is_none() { task.node.clone() } else { None };
        Self { service: task.service.clone(), number: task.slot, node }
    }
}

/// Tasks that ended by themselves, including those the engine has forgotten.
#[derive(Debug, Default)]
pub(super) struct RestartCounter {
    /// Slot by id of a task that ended by itself and was in the last list.
    ended: HashMap<String, Slot>,
    /// Number of tasks that ended by themselves and that the engine has forgotten.
    forgotten: HashMap<Slot, u32>,
}

impl RestartCounter {
    /// Sets [`Task::restarts`] in a newer list.
    pub(super) fn count(&mut self, tasks: &mut BTreeMap<String, Task>) {
        let mut slots: HashMap<Slot, Vec<(&String, &mut Task)>> = HashMap::new();
        for (id, task) in tasks.iter_mut() {
            slots.entry(Slot::of(task)).or_default().push((id, task));
        }
        let mut before = std::mem::take(&mut self.ended);
        for members in slots.values() {
            for (id, task) in members {
                before.remove(*id);
                if ended_by_itself(task) {
                    self.ended.insert((*id).clone(), Slot::of(task));
                }
            }
        }
        for slot in before.into_values() {
            *self.forgotten.entry(slot).or_default() += 1;
        }
        self.forgotten.retain(|slot, _count| slots.contains_key(slot));
        for (slot, members) in &mut slots {
            members.sort_by(|(id, task), (other_id, other)| (task.created_at, id).cmp(&(other.created_at, other_id)));
            let mut count = self.forgotten.get(slot).copied().unwrap_or(0);
            for (_id, task) in members {
                task.restarts = count;
                count = count.saturating_add(u32::from(ended_by_itself(task)));
            }
        }
    }
}

/// Whether the task ended without being asked to. The desired state of a job's task is `complete`.
fn ended_by_itself(task: &Task) -> bool {
    match task.state {
        TaskState::Failed | TaskState::Rejected => true,
        TaskState::Complete => task.desired != TaskState::Complete,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(slot: u64, created_at: i64, state: TaskState) -> Task {
        Task { service: "web".to_owned(), slot: Some(slot), created_at: Some(created_at), state, ..Task::default() }
    }

    fn counts(counter: &mut RestartCounter, tasks: &[(&str, Task)]) -> Vec<u32> {
        let mut map: BTreeMap<String, Task> = tasks.iter().map(|(id, task)| ((*id).to_owned(), task.clone())).collect();
        counter.count(&mut map);
        tasks.iter().map(|(id, _)| map[*id].restarts).collect()
    }

    #[test]
    fn tasks_that_ended_count_as_restarts_of_later_tasks_in_their_slot() {
        let tasks = [
            ("d", task(1, 40, TaskState::Running)),
            ("a", task(1, 10, TaskState::Failed)),
            ("b", task(1, 20, TaskState::Shutdown)),
            ("c", task(1, 30, TaskState::Complete)),
            ("e", task(2, 50, TaskState::Running)),
        ];
        assert_eq!(counts(&mut RestartCounter::default(), &tasks), [2, 0, 1, 1, 0]);
    }

    #[test]
    fn forgotten_tasks_still_count_until_the_slot_is_empty() {
        let mut counter = RestartCounter::default();
        let failed = |id, at| (id, task(1, at, TaskState::Failed));
        assert_eq!(counts(&mut counter, &[failed("a", 1), failed("b", 2)]), [0, 1]);
        assert_eq!(counts(&mut counter, &[failed("b", 2), failed("c", 3)]), [1, 2]);
        assert_eq!(counts(&mut counter, &[("d", task(1, 4, TaskState::Running))]), [3]);
        assert_eq!(counts(&mut counter, &[]), [0; 0]);
        assert_eq!(counts(&mut counter, &[("e", task(1, 5, TaskState::Running))]), [0]);
    }
}
