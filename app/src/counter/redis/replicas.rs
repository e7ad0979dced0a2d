//! Pure: how many replicas an addition waits for.
//!
//! It waits for all that keep up, and for at least one. One of two would not suffice: Sentinel chooses the
//! replica to promote by offsets that may be seconds old, so it may promote the one that lacks the write.
//! Waiting for a replica that hangs would cost every batch the timeout, so a replica that did not acknowledge in time
//! is excluded until the next check, and then until it has caught up.

use std::time::Duration;

use tokio::time::Instant;

/// How often to check which replicas keep up.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What is known of one master's replicas.
#[derive(Debug)]
pub(super) struct Replicas {
    /// The number of acknowledgements to wait for.
    required: u64,
    /// The master's offset at the last check: a replica that keeps up has acknowledged it by the next check.
    offset: u64,
    /// The time of the last check.
    looked: Option<Instant>,
}

impl Replicas {
    /// The replicas of a master before the first check.
    pub(super) fn new() -> Self {
        Self { required: 1, offset: 0, looked: None }
    }

    /// Whether a check is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.looked.is_none_or(|at| now.saturating_duration_since(at) >= LOOK_INTERVAL)
    }

    /// Processes the master's answer to `ROLE`: its own offset, and what each online replica has acknowledged.
    pub(super) fn look(&mut self, offset: u64, acknowledged: &[u64], now: Instant) {
        let current = acknowledged.iter().filter(|at| **at >= self.offset).count();
        self.required = u64::try_from(current).unwrap_or(1).max(1);
        self.offset = offset;
        self.looked = Some(now);
    }

    /// The number of acknowledgements to wait for.
    pub(super) fn required(&self) -> u64 {
        self.required
    }

    /// Notes that `count` replicas acknowledged in time. If fewer than required, the next batches require no more than
    /// that.
    pub(super) fn acknowledged(&mut self, count: u64) {
        self.required = self.required.min(count.max(1));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_replica_that_keeps_up_is_required_and_at_least_one() {
        let now = Instant::now();
        let mut replicas = Replicas::new();
        assert_eq!(replicas.required(), 1);
        assert!(replicas.is_due(now));
        // The first check has nothing to compare with.
        replicas.look(100, &[90, 0], now);
        assert_eq!(replicas.required(), 2);
        assert!(!replicas.is_due(now + LOOK_INTERVAL / 2));
        assert!(replicas.is_due(now + LOOK_INTERVAL));
        // The second replica has not moved.
        replicas.look(200, &[200, 0], now + LOOK_INTERVAL);
        assert_eq!(replicas.required(), 1);
        replicas.look(300, &[], now + LOOK_INTERVAL * 2);
        assert_eq!(replicas.required(), 1);
        // Both keep up again.
        replicas.look(400, &[300, 310], now + LOOK_INTERVAL * 3);
        assert_eq!(replicas.required(), 2);
    }

    #[test]
    fn a_replica_that_hangs_costs_one_timeout_until_the_next_check() {
        let now = Instant::now();
        let mut replicas = Replicas::new();
        replicas.look(100, &[100, 100], now);
        replicas.acknowledged(1);
        assert_eq!(replicas.required(), 1);
        replicas.acknowledged(0);
        assert_eq!(replicas.required(), 1, "zero is never enough");
        replicas.acknowledged(2);
        assert_eq!(replicas.required(), 1, "only a check raises it");
    }

    proptest! {
        #[test]
        fn at_least_one_and_at_most_all_are_required(
            looks in proptest::collection::vec((0..1000_u64, proptest::collection::vec(0..1000_u64, 0..4), 0..4_u64), 1..20)
        ) {
            let now = Instant::now();
            let mut replicas = Replicas::new();
            for (offset, acknowledged, answered) in looks {
                replicas.look(offset, &acknowledged, now);
                prop_assert!(replicas.required() >= 1 && replicas.required() <= acknowledged.len().max(1) as u64);
                replicas.acknowledged(answered);
                prop_assert!(replicas.required() >= 1 && replicas.required() <= acknowledged.len().max(1) as u64);
            }
        }
    }
}
