//! An endpoint's health as its active checks see it.
//!
//! Pure: outcomes go in, flips come out; time and randomness are arguments. The rule is HAProxy's `rise` and `fall`:
//! that many consecutive outcomes that contradict the current status change it, and an outcome that agrees resets the
//! count. The first check decides alone: before it nothing is known, and waiting for further checks would leave a new
//! endpoint idle or a dead one in use. An endpoint that announces that it drains is believed at once, like one that
//! answers with 404 under HAProxy's `disable-on-404`, or with Envoy's `x-envoy-immediate-health-check-fail`.

use std::time::Duration;

use crate::config::HealthCheck;

/// The health of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    status: HealthStatus,
    /// Consecutive outcomes that contradict `status`.
    contradictions: u32,
    /// Whether these were passes. Both passes and failures contradict [`HealthStatus::Draining`].
    passes: bool,
}

/// Whether an endpoint is healthy, by its active checks alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HealthStatus {
    /// No check has completed yet.
    Unchecked,
    /// Its checks pass, or the pool has no checks.
    Healthy,
    /// Its checks fail.
    Unhealthy,
    /// It announced that it drains.
    Draining,
}

/// A change of the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flip {
    /// To [`HealthStatus::Healthy`].
    Up,
    /// To [`HealthStatus::Unhealthy`].
    Down,
}

impl Health {
    /// The health before the first check.
    #[must_use]
    pub fn unchecked() -> Self {
        Self::new(HealthStatus::Unchecked)
    }

    /// The health of an endpoint in a pool without checks.
    #[must_use]
    pub fn assumed() -> Self {
        Self::new(HealthStatus::Healthy)
    }

    fn new(status: HealthStatus) -> Self {
        Self { status, contradictions: 0, passes: false }
    }

    /// Returns the status after the checks so far.
    #[must_use]
    pub fn status(&self) -> HealthStatus {
        self.status
    }

    /// Whether the next outcomes may change the status: no check has completed yet, or the last one contradicted the
    /// status.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.status == HealthStatus::Unchecked || self.contradictions > 0
    }

    /// Whether the next check must not wait for others: the endpoint is in use, or the last check showed that it
    /// answers again.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        match self.status {
            HealthStatus::Unchecked => false,
            // Draining ones are in use if no other is left.
            HealthStatus::Healthy | HealthStatus::Draining => true,
            HealthStatus::Unhealthy => self.contradictions > 0,
        }
    }

    /// Records the outcome of a check and returns whether it flipped the status. A `rise` or `fall` of 0 counts as 1.
    pub fn observe(&mut self, passed: bool, check: &HealthCheck) -> Option<Flip> {
        let (agrees, threshold) = match self.status {
            HealthStatus::Unchecked => (false, 1),
            HealthStatus::Healthy => (passed, check.fall),
            HealthStatus::Unhealthy => (!passed, check.rise),
            HealthStatus::Draining => (false, if passed { check.rise } else { check.fall }),
        };
        if agrees || passed != self.passes {
            self.contradictions = 0;
        }
        self.passes = passed;
        if agrees {
            return None;
        }
        self.contradictions = self.contradictions.saturating_add(1);
        if self.contradictions < threshold {
            return None;
        }
        let (status, flip) =
            if passed { (HealthStatus::Healthy, Flip::Up) } else { (HealthStatus::Unhealthy, Flip::Down) };
        *self = Self::new(status);
        Some(flip)
    }

    /// Makes the status unhealthy at once, whatever the count of failures, and returns whether that flipped it.
    pub fn fail(&mut self) -> Option<Flip> {
        let was_unhealthy = self.status == HealthStatus::Unhealthy;
        *self = Self::new(HealthStatus::Unhealthy);
        (!was_unhealthy).then_some(Flip::Down)
    }

    /// Makes the status draining at once, and returns whether that changed it. `rise` passes end the drain, and `fall`
    /// failures show that the endpoint has stopped.
    pub fn drain(&mut self) -> bool {
        let was_draining = self.status == HealthStatus::Draining;
        *self = Self::new(HealthStatus::Draining);
        !was_draining
    }
}

/// Returns the delay before the next check of an endpoint whose health is now `health`. `chance` is a fresh random
/// number from 0.0 to 1.0.
#[must_use]
pub fn delay(check: &HealthCheck, health: &Health, chance: f64) -> Duration {
    if health.is_changing() { check.fast_interval } else { jittered(check.interval, chance) }
}

/// Returns the interval plus or minus a tenth, so that edges do not check in lockstep.
pub(super) fn jittered(interval: Duration, chance: f64) -> Duration {
    interval.mul_f64(0.9 + 0.2 * chance.clamp(0.0, 1.0))
}

/// Returns the delay after the first check, or before the first check of an endpoint that a reload kept: a random part
/// of the interval. Endpoints appear many at a time (a name resolves, a process starts); this spreads their checks at
/// once, where the jitter of [`delay`] alone would need many rounds.
#[must_use]
pub fn initial_delay(check: &HealthCheck, chance: f64) -> Duration {
    check.interval.mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Expect;

    pub(crate) fn check(rise: u32, fall: u32) -> HealthCheck {
        HealthCheck {
            expect: Expect::Statuses(vec![(200, 399)]),
            interval: Duration::from_secs(2),
            fast_interval: Duration::from_millis(500),
            timeout: Duration::from_secs(1),
            rise,
            fall,
            ..HealthCheck::default()
        }
    }

    /// Feeds `outcomes`, written as `+` and `-`, or `d` for a drain, and returns one letter for each: `U` or `D` for a
    /// flip, `d` for the beginning of a drain, else `.`.
    fn flips(rise: u32, fall: u32, outcomes: &str) -> String {
        let mut health = Health::unchecked();
        outcomes
            .chars()
            .map(|outcome| match outcome {
                'd' => [".", "d"][usize::from(health.drain())],
                outcome => match health.observe(outcome == '+', &check(rise, fall)) {
                    Some(Flip::Up) => "U",
                    Some(Flip::Down) => "D",
                    None => ".",
                },
            })
            .collect()
    }

    #[test]
    fn status_flips_after_rise_or_fall_consecutive_outcomes() {
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
    fn drain_begins_at_once_and_ends_after_rise_passes_or_fall_failures_in_a_row() {
        for (rise, fall, outcomes, expected) in [
            (2, 3, "d++", "d.U"),
            (2, 3, "+d++", "Ud.U"),
            (2, 3, "-d++", "Dd.U"),
            (2, 3, "+ddd", "Ud.."),
            (2, 3, "+d---", "Ud..D"),
            // An outcome of the other kind begins anew, and so does a repeated announcement.
            (2, 3, "+d--+--+-++", "Ud........U"),
            (2, 3, "+d--d--d+d++", "Ud.........U"),
            (2, 3, "+--d--", "U..d.."),
            (1, 1, "d+d-d+", "dUdDdU"),
        ] {
            assert_eq!(flips(rise, fall, outcomes), expected, "rise {rise}, fall {fall}: {outcomes}");
        }
    }

    #[test]
    fn delay_is_the_fast_interval_while_the_status_may_change() {
        let check = check(2, 3);
        let mut health = Health::unchecked();
        assert_eq!(delay(&check, &health, 0.5), check.fast_interval);
        health.observe(true, &check);
        assert_eq!(delay(&check, &health, 0.5), check.interval);
        health.observe(false, &check);
        assert_eq!(delay(&check, &health, 0.5), check.fast_interval);
        health.observe(true, &check);
        assert_eq!(delay(&check, &health, 0.5), check.interval);
    }

    #[test]
    fn failing_at_once_needs_no_count_and_recovery_needs_all_of_rise() {
        let check = check(2, 3);
        let mut health = Health::unchecked();
        health.observe(true, &check);
        assert_eq!(health.fail(), Some(Flip::Down));
        assert_eq!(health.fail(), None);
        assert_eq!(health.observe(true, &check), None);
        assert_eq!(health.observe(true, &check), Some(Flip::Up));
    }

    proptest! {
        /// The model looks at the whole history instead of counting.
        #[test]
        fn status_is_that_of_the_last_long_enough_run(
            outcomes in prop::collection::vec(any::<bool>(), 1..60), rise in 1_u32..5, fall in 1_u32..5,
        ) {
            let check = check(rise, fall);
            let mut health = Health::unchecked();
            let mut model = None;
            for end in 1..=outcomes.len() {
                let passed = outcomes[end - 1];
                let run = outcomes[..end].iter().rev().take_while(|outcome| **outcome == passed).count();
                let needed = if passed { rise } else { fall };
                let before = model;
                if model.is_none() || run >= needed as usize {
                    model = Some(passed);
                }
                let flip = health.observe(passed, &check);
                let expected = (before != model).then_some(if passed { Flip::Up } else { Flip::Down });
                prop_assert_eq!(flip, expected);
                prop_assert_eq!(Some(health.status() == HealthStatus::Healthy), model);
            }
        }

        #[test]
        fn delays_stay_within_a_tenth_of_the_interval(chance in 0.0_f64..=1.0) {
            let check = check(2, 3);
            let delay = delay(&check, &Health::assumed(), chance);
            prop_assert!(delay >= check.interval.mul_f64(0.899) && delay <= check.interval.mul_f64(1.101));
            prop_assert!(initial_delay(&check, chance) <= check.interval);
        }
    }
}
