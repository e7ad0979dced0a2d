//! Suspicion: an endpoint that failed lately, or that is silent, gets no request that could not be sent again, while
//! another one can take it.
//!
//! An ejection needs several failures, because it takes an endpoint out of use, and a check needs seconds. Until then
//! idempotent requests cost little: what fails is sent elsewhere. A POST is lost. So one failure suffices for those, and
//! the others go on, and show when the endpoint works again. nginx suspects an endpoint after one failure for all
//! requests (`max_fails=1`, `fail_timeout=10s`); the word is that of failure detectors (Chandra and Toueg 1996,
//! "Unreliable failure detectors for reliable distributed systems").
//!
//! The evidence is a failed attempt, or a status that the pool retries, within the time that the pool names; a
//! probation that began within it; and silence, which ends with the next answer. Once the endpoint has answered after a
//! failure, the rest of its time is a fifth at most: all these requests on fewer endpoints are all the more that are
//! lost when one of those dies. If more candidates are suspect than the pool may eject, those whose evidence is the
//! oldest are not avoided: the others must not carry all the load.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use super::health::outlier::within_share;
use crate::config::Ejection;

/// How long silence is evidence after it was last noticed. Each request that avoids the endpoint notices it again.
const SILENT: Duration = Duration::from_secs(1);

/// The part of its time for which a failure counts after the endpoint has answered again. Programs that crash again and
/// again do so within seconds.
const AFTER_ANSWER: u32 = 5;

/// What is known against an endpoint. All workers write it, but only when something fails or is silent.
#[derive(Debug)]
pub struct Suspicion {
    began: Instant,
    /// When an attempt failed last, in milliseconds since `began`, plus one; 0 if none did.
    failed: AtomicU64,
    /// When it first answered after that, in the same way; 0 if it has not.
    recovered: AtomicU64,
    /// When it was last noticed to be silent, in the same way; 0 if it has answered since.
    silent: AtomicU64,
}

/// The newest evidence against an endpoint. The newer is the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    /// A number that decreases with its age in milliseconds.
    at: u64,
    /// What it is.
    pub what: What,
}

/// What speaks against an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// An attempt failed, or a probation began.
    Failed,
    /// It owes answers and gives none.
    Silent,
}

impl What {
    /// Its name for the status page, the JSON and the metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Silent => "silent",
        }
    }
}

impl Suspicion {
    /// Nothing is known.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { began: now, failed: AtomicU64::new(0), recovered: AtomicU64::new(0), silent: AtomicU64::new(0) }
    }

    /// The time since it was created.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// Records that an attempt failed.
    pub fn failed(&self, now: Instant) {
        self.recovered.store(0, Relaxed);
        self.failed.store(self.stamp(now), Relaxed);
    }

    /// Records that it is silent.
    pub fn silent(&self, now: Instant) {
        self.silent.store(self.stamp(now), Relaxed);
    }

    /// Records that it answered. Only reads unless it was silent, or this is the first answer after a failure.
    pub fn answered(&self, now: Instant) {
        if self.failed.load(Relaxed) != 0 && self.recovered.load(Relaxed) == 0 {
            self.recovered.store(self.stamp(now), Relaxed);
        }
        if self.silent.load(Relaxed) != 0 {
            self.silent.store(0, Relaxed);
        }
    }

    /// Returns the newest evidence, if a failure counts for `lasts`.
    #[must_use]
    pub fn evidence(&self, now: Instant, lasts: Duration) -> Option<Evidence> {
        let (failed, silent) = (self.failed.load(Relaxed), self.silent.load(Relaxed));
        if failed | silent == 0 {
            return None;
        }
        let now = self.stamp(now);
        let newest = |stamp: u64, lasts: Duration, what| {
            let age = now.saturating_sub(stamp);
            // Endpoints have their own beginnings: the age is what can be compared.
            (stamp != 0 && u128::from(age) < lasts.as_millis()).then_some(Evidence { at: u64::MAX - age, what })
        };
        let recovered = self.recovered.load(Relaxed);
        let is_over = recovered != 0 && u128::from(now.saturating_sub(recovered)) >= (lasts / AFTER_ANSWER).as_millis();
        newest(if is_over { 0 } else { failed }, lasts, What::Failed).max(newest(silent, SILENT, What::Silent))
    }

    fn stamp(&self, now: Instant) -> u64 {
        u64::try_from(self.age(now).as_millis()).unwrap_or(u64::MAX - 1).saturating_add(1)
    }
}

/// Whether a request avoids a candidate with this evidence and id. `all` are the evidence and the ids of all
/// candidates. At most as many are avoided as the pool may eject of so many, and never all.
#[must_use]
pub fn is_avoided(
    settings: &Ejection,
    own: (Evidence, u64),
    all: impl IntoIterator<Item = (Option<Evidence>, u64)>,
) -> bool {
    let own = (Some(own.0), own.1);
    let (mut total, mut newer) = (0, 0);
    for one in all {
        total += 1;
        newer += usize::from(one > own);
    }
    within_share(settings, total, newer + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::upstream::health::outlier::tests::ejection;

    const LASTS: Duration = Duration::from_secs(10);

    fn evidence(at: u64) -> Evidence {
        Evidence { at, what: What::Failed }
    }

    /// The positions of the candidates that are avoided, whose evidence was seen at these times.
    fn avoided(seen: &[Option<u64>], max_share: f64) -> Vec<usize> {
        let all: Vec<_> = (0..).zip(seen).map(|(id, at)| (at.map(evidence), id)).collect();
        let is_avoided = |(own, id): &(Option<Evidence>, u64)| {
            own.is_some_and(|own| is_avoided(&ejection(5, max_share), (own, *id), all.iter().copied()))
        };
        (0..all.len()).filter(|index| is_avoided(&all[*index])).collect()
    }

    #[test]
    fn newest_evidence_counts_first_within_the_share_that_may_be_ejected() {
        for (seen, share, expected) in [
            (&[None, None][..], 0.5, vec![]),
            (&[Some(5), None], 0.5, vec![0]),
            (&[Some(5), Some(7)], 0.5, vec![1]),
            (&[Some(5), Some(5)], 0.5, vec![1]),
            (&[Some(5)], 0.5, vec![]),
            (&[Some(5)], 1.0, vec![]),
            (&[Some(5), Some(7), None], 0.5, vec![1]),
            (&[Some(5), Some(7), None, Some(6)], 0.5, vec![1, 3]),
            (&[Some(5), Some(7), Some(6)], 1.0, vec![1, 2]),
            (&[Some(5), None], 0.0, vec![]),
        ] {
            assert_eq!(avoided(seen, share), expected, "{seen:?} at {share}");
        }
    }

    #[test]
    fn failure_counts_for_its_time_and_silence_until_an_answer() {
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let suspicion = Suspicion::new(began);
        let what = |millis| suspicion.evidence(at(millis), LASTS).map(|evidence| evidence.what);
        assert_eq!(what(0), None);
        suspicion.failed(at(0));
        assert_eq!((what(0), what(9999), what(10_000)), (Some(What::Failed), Some(What::Failed), None));
        suspicion.silent(at(5000));
        assert_eq!((what(5999), what(6000)), (Some(What::Silent), Some(What::Failed)));
        suspicion.answered(at(5500));
        assert_eq!(what(5500), Some(What::Failed), "an answer refutes only silence at once");
        assert_eq!(suspicion.evidence(at(5500), Duration::ZERO), None);
    }

    #[test]
    fn failure_counts_for_a_fifth_of_its_time_once_the_endpoint_answers_again() {
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let suspicion = Suspicion::new(began);
        let is_suspect = |millis| suspicion.evidence(at(millis), LASTS).is_some();
        suspicion.answered(at(0));
        suspicion.failed(at(1000));
        suspicion.answered(at(1500));
        suspicion.answered(at(3000));
        assert!(is_suspect(3499) && !is_suspect(3500));
        suspicion.failed(at(4000));
        assert!(is_suspect(9000), "the answer was before the failure");
        suspicion.answered(at(13_000));
        assert!(is_suspect(13_999) && !is_suspect(14_000));
    }

    #[test]
    fn evidence_of_endpoints_of_different_ages_is_compared_by_its_time() {
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let [old, young] = [Suspicion::new(at(0)), Suspicion::new(at(60_000))];
        old.failed(at(62_000));
        young.failed(at(61_000));
        let [old, young] = [old, young].map(|one| one.evidence(at(63_000), LASTS));
        assert!(old > young && young.is_some());
    }

    proptest! {
        #[test]
        fn as_many_as_allowed_are_avoided_and_never_all(
            seen in prop::collection::vec(prop::option::of(0_u64..5), 1..20), share in 0.0_f64..=1.0,
        ) {
            let avoided = avoided(&seen, share);
            let suspects = seen.iter().flatten().count();
            let most = (0..=seen.len()).rev().find(|most| within_share(&ejection(5, share), seen.len(), *most));
            prop_assert_eq!(avoided.len(), suspects.min(most.unwrap()));
            prop_assert!(avoided.len() < seen.len());
            // None that is not avoided has newer evidence.
            let oldest = avoided.iter().map(|index| seen[*index]).min();
            let others = (0..seen.len()).filter(|index| !avoided.contains(index)).map(|index| seen[index]);
            prop_assert!(oldest.is_none_or(|oldest| others.max().is_none_or(|newest| newest <= oldest)));
        }
    }
}
