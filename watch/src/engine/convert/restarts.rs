//! How often tasks ended by themselves, place by place.
//!
//! A place is a slot of a service, or a node where the service is global. The engine remembers the last few
//! tasks of each; what it forgets is counted here, for as long as the place has any task.

use std::collections::{BTreeMap, HashMap};

use crate::cluster_state::{Task, TaskState};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    service: String,
    slot: Option<u64>,
    /// For a global service.
    node: Option<String>,
}

impl Place {
    fn of(task: &Task) -> Self {
        let node = if task.slot.is_none() { task.node.clone() } else { None };
        Self { service: task.service.clone(), slot: task.slot, node }
    }
}

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Those that ended by themselves and were in the last list.
    ended: HashMap<String, Place>,
    /// How many that ended by themselves the engine has forgotten.
    forgotten: HashMap<Place, u32>,
}

impl Places {
    /// Sets [`Task::restarts`] of the tasks of a newer list.
    pub(super) fn count(&mut self, tasks: &mut BTreeMap<String, Task>) {
        let mut places: HashMap<Place, Vec<(&String, &mut Task)>> = HashMap::new();
        for (id, task) in tasks.iter_mut() {
            places.entry(Place::of(task)).or_default().push((id, task));
        }
        let mut before = std::mem::take(&mut self.ended);
        for members in places.values() {
            for (id, task) in members {
                before.remove(*id);
                if ended_by_itself(task) {
                    self.ended.insert((*id).clone(), Place::of(task));
                }
            }
        }
        for place in before.into_values() {
            *self.forgotten.entry(place).or_default() += 1;
        }
        self.forgotten.retain(|place, _count| places.contains_key(place));
        for (place, members) in &mut places {
            members.sort_by(|(id, task), (other_id, other)| (task.created_at, id).cmp(&(other.created_at, other_id)));
            let mut count = self.forgotten.get(place).copied().unwrap_or(0);
            for (_id, task) in members {
                task.restarts = count;
                count = count.saturating_add(u32::from(ended_by_itself(task)));
            }
        }
    }
}

/// Nobody asked it to end. A job's task is to be complete.
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

    fn counts(places: &mut Places, tasks: &[(&str, Task)]) -> Vec<u32> {
        let mut map: BTreeMap<String, Task> = tasks.iter().map(|(id, task)| ((*id).to_owned(), task.clone())).collect();
        places.count(&mut map);
        tasks.iter().map(|(id, _)| map[*id].restarts).collect()
    }

    #[test]
    fn those_that_ended_by_themselves_count_for_the_later_ones_in_their_place() {
        let tasks = [
            ("d", task(1, 40, TaskState::Running)),
            ("a", task(1, 10, TaskState::Failed)),
            ("b", task(1, 20, TaskState::Shutdown)),
            ("c", task(1, 30, TaskState::Complete)),
            ("e", task(2, 50, TaskState::Running)),
        ];
        assert_eq!(counts(&mut Places::default(), &tasks), [2, 0, 1, 1, 0]);
    }

    #[test]
    fn what_the_engine_forgets_still_counts_until_the_place_is_empty() {
        let mut places = Places::default();
        let failed = |id, at| (id, task(1, at, TaskState::Failed));
        assert_eq!(counts(&mut places, &[failed("a", 1), failed("b", 2)]), [0, 1]);
        assert_eq!(counts(&mut places, &[failed("b", 2), failed("c", 3)]), [1, 2]);
        assert_eq!(counts(&mut places, &[("d", task(1, 4, TaskState::Running))]), [3]);
        assert_eq!(counts(&mut places, &[]), [0; 0]);
        assert_eq!(counts(&mut places, &[("e", task(1, 5, TaskState::Running))]), [0]);
    }
}
