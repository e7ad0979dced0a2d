//! The queue of events, which also holds the current time.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::time::Time;

/// What happens at a point in time. Edges, endpoints and requests are indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A check is due. If it was rescheduled, its ticket is no longer valid.
    CheckDue { edge: usize, endpoint: usize, ticket: u64 },
    /// A check has ended.
    Checked { edge: usize, endpoint: usize, passed: bool },
    /// The time of an ejection has passed.
    EjectionExpired { edge: usize, endpoint: usize },
    /// An edge receives a request.
    Arrival { edge: usize },
    /// A request failed to connect.
    ConnectFailed { request: usize, endpoint: usize },
    /// A request that waits for a response since `since` checks whether the endpoint is down.
    DownCheck { request: usize, endpoint: usize, since: Time },
}

/// Future events. Those of the same time happen in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Queue {
    events: BinaryHeap<Reverse<(Time, u64, Event)>>,
    /// How many events were added.
    count: u64,
    now: Time,
}

impl Queue {
    /// The current time.
    pub(super) fn now(&self) -> Time {
        self.now
    }

    /// How many events were added so far, which identifies the next one.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Adds an event at a time.
    pub(super) fn push(&mut self, at: Time, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at, self.count, event)));
    }

    /// Removes the next event and advances to its time. If there is none until `end`, advances to `end`.
    pub(super) fn next_until(&mut self, end: Time) -> Option<Event> {
        let Some(Reverse((at, _, event))) = self.events.peek().copied().filter(|first| first.0.0 <= end) else {
            self.now = end;
            return None;
        };
        self.events.pop();
        self.now = at;
        Some(event)
    }
}
