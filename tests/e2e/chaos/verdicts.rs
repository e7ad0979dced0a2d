//! Whole runs: a cluster, faults of a fixed plan, and the judge.

use tests::chaos::cluster::Counter;
use tests::chaos::history::History;
use tests::chaos::judge::{Verdict, Violation, judge};
use tests::chaos::{LIMITS, Outcome, check};
use tests::process::binary;

use super::ALONE;

/// The rounds within which a counter with a mistake must be convicted.
const MAX_ROUNDS: usize = 12;

/// A plan that begins with lost replies, followed by masters that are paused, killed, isolated, and emptied, and by
/// stopped sentinels, a starved host and a clock that is set back.
const LOST_REPLIES: u64 = 2_094_717;

/// A plan that begins with two paused masters.
const PAUSED: u64 = 169_713;

async fn run(counter: Counter, seed: u64, rounds: usize, keep_going: impl FnMut(&History) -> bool) -> Outcome {
    let _alone = ALONE.lock().await;
    check(counter, seed, rounds, keep_going).await.unwrap()
}

/// Runs a counter with `mistake`, and asserts that `is_convicted` becomes true for the verdict.
async fn convict(mistake: &str, seed: u64, is_convicted: fn(&Verdict) -> bool) {
    let counter = Counter { program: binary("chaos"), arguments: vec!["serve".to_owned(), mistake.to_owned()] };
    let outcome = run(counter, seed, MAX_ROUNDS, |history| !is_convicted(&judge(history, LIMITS))).await;
    assert!(is_convicted(&outcome.verdict), "{mistake} was not convicted:\n{}", outcome.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_counts_exactly_through_the_loss_of_any_host() {
    let counter = Counter { program: binary("app"), arguments: Vec::new() };
    let mut promotions = 0;
    let outcome = run(counter, LOST_REPLIES, 10, |history| {
        promotions = history.rounds.iter().map(|round| round.promotions).sum();
        true
    })
    .await;
    if !outcome.holds() {
        let report = outcome.report.clone();
        panic!("{report}\nlogs and history: {}", outcome.keep().unwrap().display());
    }
    assert!(promotions >= 3, "only {promotions} failovers:\n{}", outcome.report);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_repeats_unanswered_additions_is_convicted() {
    convict("sends-again", LOST_REPLIES, |verdict| {
        verdict.exact.iter().any(|violation| matches!(violation, Violation::TooMany { .. }))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_does_not_wait_for_a_replica_is_convicted() {
    convict("does-not-wait", PAUSED, |verdict| !verdict.unique.is_empty() && !verdict.exact.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_that_trusts_one_replica_is_convicted() {
    convict("trusts-one-replica", PAUSED, |verdict| !verdict.unique.is_empty()).await;
}
