//! Pure: how many replicas an addition waits for.
//!
//! All that keep up, and at least one. One of two would not do: Sentinel chooses whom to promote by
//! offsets that may be seconds old, so the one that has the write may lose to the one that has not.
//! Waiting for a replica that hangs would cost every batch the time-out, so one that did not answer in
//! time is left out until the next look, and by a look until it has caught up.

use std::time::Duration;

use tokio::time::Instant;

/// How often to look who keeps up.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Replicas {
    ask: u64,
    /// The master's offset at the last look: who keeps up has acknowledged it by the next one.
    offset: u64,
    looked: Option<Instant>,
}

impl Replicas {
    /// Of a master that was not looked at yet.
    pub(super) fn new() -> Self {
        Self { ask: 1, offset: 0, looked: None }
    }

    /// Whether it is time to look.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.looked.is_none_or(|at| now.saturating_duration_since(at) >= LOOK)
    }

    /// What the master tells by `ROLE`: its own offset, and what each online replica acknowledged.
    pub(super) fn look(&mut self, offset: u64, acknowledged: &[u64], now: Instant) {
        let up = acknowledged.iter().filter(|at| **at >= self.offset).count();
        self.ask = u64::try_from(up).unwrap_or(1).max(1);
        self.offset = offset;
        self.looked = Some(now);
    }

    /// How many acknowledgements to wait for.
    pub(super) fn ask(&self) -> u64 {
        self.ask
    }

    /// So many acknowledged in time. Fewer than asked: the next batches ask for no more.
    pub(super) fn acknowledged(&mut self, count: u64) {
        self.ask = self.ask.min(count.max(1));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_that_keep_up_are_waited_for_and_never_none() {
        let now = Instant::now();
        let mut replicas = Replicas::new();
        assert_eq!(replicas.ask(), 1);
        assert!(replicas.is_due(now));
        // The first look has nothing to compare with.
        replicas.look(100, &[90, 0], now);
        assert_eq!(replicas.ask(), 2);
        assert!(!replicas.is_due(now + LOOK / 2));
        assert!(replicas.is_due(now + LOOK));
        // The second has not moved.
        replicas.look(200, &[200, 0], now + LOOK);
        assert_eq!(replicas.ask(), 1);
        replicas.look(300, &[], now + LOOK * 2);
        assert_eq!(replicas.ask(), 1);
        // Both again.
        replicas.look(400, &[300, 310], now + LOOK * 3);
        assert_eq!(replicas.ask(), 2);
    }

    #[test]
    fn one_that_hangs_costs_one_time_out_until_the_next_look() {
        let now = Instant::now();
        let mut replicas = Replicas::new();
        replicas.look(100, &[100, 100], now);
        replicas.acknowledged(1);
        assert_eq!(replicas.ask(), 1);
        replicas.acknowledged(0);
        assert_eq!(replicas.ask(), 1, "none at all is never enough");
        replicas.acknowledged(2);
        assert_eq!(replicas.ask(), 1, "only a look asks for more");
    }

    proptest! {
        #[test]
        fn it_asks_for_at_least_one_and_at_most_all(
            looks in proptest::collection::vec((0..1000_u64, proptest::collection::vec(0..1000_u64, 0..4), 0..4_u64), 1..20)
        ) {
            let now = Instant::now();
            let mut replicas = Replicas::new();
            for (offset, acknowledged, answered) in looks {
                replicas.look(offset, &acknowledged, now);
                prop_assert!(replicas.ask() >= 1 && replicas.ask() <= acknowledged.len().max(1) as u64);
                replicas.acknowledged(answered);
                prop_assert!(replicas.ask() >= 1 && replicas.ask() <= acknowledged.len().max(1) as u64);
            }
        }
    }
}
