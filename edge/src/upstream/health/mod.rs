//! What a row of checks says about an endpoint.
//!
//! Pure: outcomes go in, flips come out; time and chance are arguments. The rule is HAProxy's `rise`
//! and `fall`: so many outcomes in a row that contradict the present state change it, and one that
//! agrees starts the count anew. The first check of all decides at once, because until then nothing is
//! known and waiting for more would only keep a new endpoint idle or a dead one in use.

pub mod outlier;
pub mod probe;
pub(crate) mod watch;

use std::time::Duration;

use crate::config::HealthCheck;

/// The state of one endpoint as its checks see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    verdict: Verdict,
    /// Outcomes in a row that contradict `verdict`.
    against: u32,
}

/// What the checks made of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No check has ended yet.
    Unchecked,
    /// Good, or trusted because the pool has no checks.
    Healthy,
    /// Bad.
    Unhealthy,
}

/// A change of the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flip {
    /// To [`Verdict::Healthy`].
    Up,
    /// To [`Verdict::Unhealthy`].
    Down,
}

impl Health {
    /// Before the first check.
    #[must_use]
    pub fn unchecked() -> Self {
        Self { verdict: Verdict::Unchecked, against: 0 }
    }

    /// Of an endpoint that nobody checks.
    #[must_use]
    pub fn trusted() -> Self {
        Self { verdict: Verdict::Healthy, against: 0 }
    }

    /// What the checks so far made of it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Whether the next outcomes may change the verdict: no check has ended yet, or the last one
    /// contradicted it.
    #[must_use]
    pub fn changing(&self) -> bool {
        self.verdict == Verdict::Unchecked || self.against > 0
    }

    /// Takes in the outcome of a check. A `rise` or `fall` of 0 counts as 1.
    pub fn observe(&mut self, passed: bool, check: &HealthCheck) -> Option<Flip> {
        let (agrees, needed) = match self.verdict {
            Verdict::Unchecked => (false, 1),
            Verdict::Healthy => (passed, check.fall),
            Verdict::Unhealthy => (!passed, check.rise),
        };
        if agrees {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return None;
        }
        let (verdict, flip) = if passed { (Verdict::Healthy, Flip::Up) } else { (Verdict::Unhealthy, Flip::Down) };
        *self = Self { verdict, against: 0 };
        Some(flip)
    }
}

/// How soon the next check is due after one that left `health` as it is now. `chance` is drawn anew
/// from 0.0 to 1.0 each time.
#[must_use]
pub fn pause(check: &HealthCheck, health: &Health, chance: f64) -> Duration {
    let chance = chance.clamp(0.0, 1.0);
    if health.changing() { check.fast_interval } else { check.interval.mul_f64(0.9 + 0.2 * chance) }
}

/// How long to wait after the very first check, or before checking an endpoint that a reload kept: any
/// part of the interval. Endpoints come in crowds (a name resolved, a process started); this spreads
/// their checks once and for all, where the jitter of [`pause`] alone would need many rounds.
#[must_use]
pub fn spread(check: &HealthCheck, chance: f64) -> Duration {
    check.interval.mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Expect;

    pub(crate) fn check(rise: u32, fall: u32) -> HealthCheck {
        HealthCheck {
            path: None,
            host: None,
            expect: Expect::Statuses(vec![(200, 399)]),
            interval: Duration::from_secs(2),
            fast_interval: Duration::from_millis(500),
            timeout: Duration::from_secs(1),
            rise,
            fall,
        }
    }

    /// Feeds `outcomes`, written as `+` and `-`, and writes a flip as `U` or `D` and none as `.`.
    fn flips(rise: u32, fall: u32, outcomes: &str) -> String {
        let mut health = Health::unchecked();
        outcomes
            .chars()
            .map(|outcome| match health.observe(outcome == '+', &check(rise, fall)) {
                Some(Flip::Up) => 'U',
                Some(Flip::Down) => 'D',
                None => '.',
            })
            .collect()
    }

    #[test]
    fn verdicts_change_after_rise_or_fall_outcomes_in_a_row() {
        for (rise, fall, outcomes, expected) in [
            (2, 3, "+", "U"),
            (2, 3, "-", "D"),
            (2, 3, "-+-++", "D...U"),
            (2, 3, "+--+---", "U.....D"),
            (2, 3, "+---++", "U..D.U"),
            (1, 1, "+-+-", "UDUD"),
            (0, 0, "+-+-", "UDUD"),
        ] {
            assert_eq!(flips(rise, fall, outcomes), expected, "rise {rise}, fall {fall}: {outcomes}");
        }
    }

    #[test]
    fn the_pause_is_short_while_the_verdict_may_change() {
        let check = check(2, 3);
        let mut health = Health::unchecked();
        assert_eq!(pause(&check, &health, 0.5), check.fast_interval);
        health.observe(true, &check);
        assert_eq!(pause(&check, &health, 0.5), check.interval);
        health.observe(false, &check);
        assert_eq!(pause(&check, &health, 0.5), check.fast_interval);
        health.observe(true, &check);
        assert_eq!(pause(&check, &health, 0.5), check.interval);
    }

    proptest! {
        /// The model looks back over the whole history instead of counting.
        #[test]
        fn the_verdict_is_that_of_the_last_long_enough_row(
            outcomes in prop::collection::vec(any::<bool>(), 1..60), rise in 1_u32..5, fall in 1_u32..5,
        ) {
            let check = check(rise, fall);
            let mut health = Health::unchecked();
            let mut model = None;
            for end in 1..=outcomes.len() {
                let passed = outcomes[end - 1];
                let row = outcomes[..end].iter().rev().take_while(|outcome| **outcome == passed).count();
                let needed = if passed { rise } else { fall };
                let before = model;
                if model.is_none() || row >= needed as usize {
                    model = Some(passed);
                }
                let flip = health.observe(passed, &check);
                let expected = (before != model).then_some(if passed { Flip::Up } else { Flip::Down });
                prop_assert_eq!(flip, expected);
                prop_assert_eq!(Some(health.verdict() == Verdict::Healthy), model);
            }
        }

        #[test]
        fn pauses_stay_within_a_tenth_of_the_interval(chance in 0.0_f64..=1.0) {
            let check = check(2, 3);
            let pause = pause(&check, &Health::trusted(), chance);
            prop_assert!(pause >= check.interval.mul_f64(0.899) && pause <= check.interval.mul_f64(1.101));
            prop_assert!(spread(&check, chance) <= check.interval);
        }
    }
}
