//! The judge on generated histories: correct ones pass, and each kind of violation is found.

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { hit: Duration::from_millis(5_000), outage: Duration::from_millis(60_000) };

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

fn hit(started: u64, ended: u64, outcome: Outcome) -> Hit {
    Hit { client: 0, host: 0, started: ms(started), ended: ms(ended), outcome }
}

fn counted(started: u64, ended: u64, number: u64) -> Hit {
    hit(started, ended, Outcome::Counted(number))
}

fn unknown(started: u64, ended: u64) -> Hit {
    hit(started, ended, Outcome::Unknown("503".to_owned()))
}

fn round(began: u64, ended: u64, before: u64, after: u64) -> Round {
    Round {
        kind: "none",
        fault: "none".to_owned(),
        began: ms(began),
        injected: ms(began),
        recovered: ms(ended),
        ended: ms(ended),
        before,
        after,
        promotions: 0,
    }
}

/// Judges one round of 100 ms.
fn verdict(hits: Vec<Hit>, before: u64, after: u64) -> Verdict {
    judge(&History { hits, rounds: vec![round(0, 100, before, after)] }, LIMITS)
}

#[test]
fn an_empty_history_holds() {
    assert!(judge(&History::default(), LIMITS).holds());
}

#[test]
fn visits_at_the_same_time_may_get_their_numbers_in_any_order() {
    assert!(verdict(vec![counted(0, 50, 2), counted(40, 60, 1), counted(70, 80, 3)], 0, 3).holds());
}

#[test]
fn a_number_returned_twice_is_found() {
    let (first, second) = (counted(0, 10, 1), counted(20, 30, 1));
    let found = verdict(vec![first.clone(), second.clone()], 0, 2);
    assert_eq!(found.unique, [Violation::Duplicate(first, second)]);
}

#[test]
fn a_number_above_the_stored_count_is_reported_as_lost() {
    let lost = counted(20, 30, 2);
    let found = verdict(vec![counted(0, 10, 1), lost.clone()], 0, 1);
    assert_eq!(found.exact[0], Violation::Outside(lost, round(0, 100, 0, 1)));
    assert!(matches!(found.exact[1], Violation::TooFew { acknowledged: 2, .. }));
}

#[test]
fn a_number_that_an_earlier_round_counted_is_found() {
    let old = counted(0, 10, 5);
    let found = verdict(vec![old.clone()], 5, 6);
    assert_eq!(found.exact[0], Violation::Outside(old, round(0, 100, 5, 6)));
}

#[test]
fn a_visit_counted_twice_is_found() {
    let found = verdict(vec![counted(0, 10, 2)], 0, 2);
    assert!(matches!(found.exact[..], [Violation::TooMany { number: 1, skipped: 1, ambiguous: 0, .. }]), "{found:?}");
    let found = verdict(vec![counted(0, 10, 1)], 0, 2);
    assert!(matches!(found.exact[..], [Violation::TooMany { number: 2, skipped: 1, ambiguous: 0, .. }]), "{found:?}");
}

#[test]
fn a_visit_without_an_answer_explains_one_number() {
    assert!(verdict(vec![unknown(0, 5), counted(0, 10, 2)], 0, 2).holds());
    let found = verdict(vec![unknown(0, 5), counted(0, 10, 3)], 0, 3);
    assert!(matches!(found.exact[..], [Violation::TooMany { number: 2, skipped: 2, ambiguous: 1, .. }]), "{found:?}");
}

#[test]
fn a_visit_that_started_after_a_larger_number_was_read_explains_no_smaller_number() {
    let found = verdict(vec![counted(0, 10, 2), unknown(11, 20)], 0, 2);
    assert!(matches!(found.exact[..], [Violation::TooMany { number: 1, .. }]), "{found:?}");
    // It does explain a later one.
    assert!(verdict(vec![counted(0, 10, 1), unknown(11, 20)], 0, 2).holds());
}

#[test]
fn the_first_larger_number_that_is_read_decides_not_the_next_larger_one() {
    let found = verdict(vec![counted(0, 50, 2), counted(0, 10, 3), unknown(20, 30)], 0, 3);
    assert!(matches!(found.exact[..], [Violation::TooMany { number: 1, .. }]), "{found:?}");
}

#[test]
fn visits_explain_only_numbers_of_their_own_round() {
    let hits = vec![unknown(0, 5), counted(0, 10, 1), counted(110, 120, 3)];
    let rounds = vec![round(0, 100, 0, 1), round(101, 200, 1, 3)];
    let found = judge(&History { hits, rounds }, LIMITS);
    assert!(matches!(found.exact[..], [Violation::TooMany { number: 2, ambiguous: 0, .. }]), "{found:?}");
}

#[test]
fn a_visit_that_was_never_sent_explains_nothing() {
    let found = verdict(vec![hit(0, 1, Outcome::Unsent), counted(0, 10, 2)], 0, 2);
    assert!(!found.exact.is_empty());
}

#[test]
fn a_smaller_number_for_a_later_visit_is_found() {
    let (first, second) = (counted(0, 50, 2), counted(60, 70, 1));
    let found = verdict(vec![counted(0, 90, 3), first.clone(), second.clone()], 0, 3);
    assert_eq!(found.ordered, [Violation::Backwards(first, second)]);
}

#[test]
fn a_slow_visit_is_found_whatever_its_outcome() {
    for slow in [counted(0, 5_001, 1), unknown(0, 5_001), hit(0, 5_001, Outcome::Unsent)] {
        assert_eq!(
            judge(&History { hits: vec![slow.clone()], rounds: Vec::new() }, LIMITS).prompt,
            [Violation::Slow(slow)]
        );
    }
    assert!(judge(&History { hits: vec![counted(0, 5_000, 1)], rounds: Vec::new() }, LIMITS).prompt.is_empty());
}

#[test]
fn an_outage_at_the_start_or_end_of_a_round_is_found() {
    for answers in [vec![], vec![61_000], vec![1_000], vec![1_000, 61_001]] {
        let hits: Vec<Hit> = (1..).zip(&answers).map(|(number, at)| counted(*at - 10, *at, number)).collect();
        let count = hits.len() as u64;
        let history = History { hits, rounds: vec![round(0, 62_000, 0, count)] };
        let found = judge(&history, LIMITS).prompt;
        assert!(matches!(found[..], [Violation::Unavailable(..)]), "{answers:?}: {found:?}");
    }
    let history = History { hits: vec![counted(0, 59_000, 1)], rounds: vec![round(0, 62_000, 0, 1)] };
    assert_eq!(longest_outages(&history), [ms(59_000)]);
}

/// A visit of a correct counter: its start, the time until it takes effect, the time from then until it is answered,
/// and whether it is counted and whether it is answered.
type Visit = (u64, u64, u64, bool, bool);

fn visits() -> impl Strategy<Value = Vec<Visit>> {
    let visit = (0_u64..2_000, 1_u64..50, 1_u64..50, prop::bool::weighted(0.9), prop::bool::weighted(0.8));
    prop::collection::vec(visit, 1..120)
}

/// Returns what clients of a correct counter observe: numbers in the order of the effects.
fn correct_history(visits: &[Visit]) -> History {
    let mut visits = visits.to_vec();
    visits.sort_by_key(|(began, effect, ..)| began + effect);
    let mut count = 0;
    let hits = visits.iter().map(|(began, effect, answer, is_counted, is_answered)| {
        count += u64::from(*is_counted);
        let ended = began + effect + answer;
        if *is_counted && *is_answered { counted(*began, ended, count) } else { unknown(*began, ended) }
    });
    let hits = hits.collect();
    History { hits, rounds: vec![round(0, 3_000, 0, count)] }
}

/// Checks the second invariant by its definition: each number that was not returned is matched with an unanswered visit
/// of its own, if such a matching exists (augmenting paths).
fn can_be_explained(history: &History) -> bool {
    let round = &history.rounds[0];
    let answered: Vec<(u64, Duration)> =
        history.hits.iter().filter_map(|hit| Some((hit.number()?, hit.ended))).collect();
    let unanswered: Vec<&Hit> = history.hits.iter().filter(|hit| matches!(hit.outcome, Outcome::Unknown(_))).collect();
    let mut taken: Vec<Option<u64>> = vec![None; unanswered.len()];
    let fits = |number: u64, hit: &Hit| answered.iter().all(|(other, ended)| *other < number || hit.started <= *ended);
    fn place(
        number: u64,
        seen: &mut [bool],
        taken: &mut [Option<u64>],
        unanswered: &[&Hit],
        fits: &impl Fn(u64, &Hit) -> bool,
    ) -> bool {
        for at in 0..unanswered.len() {
            if seen[at] || !fits(number, unanswered[at]) {
                continue;
            }
            seen[at] = true;
            let free = match taken[at] {
                None => true,
                Some(other) => place(other, seen, taken, unanswered, fits),
            };
            if free {
                taken[at] = Some(number);
                return true;
            }
        }
        false
    }
    (round.before + 1..=round.after)
        .filter(|number| answered.iter().all(|(other, _)| other != number))
        .all(|number| place(number, &mut vec![false; unanswered.len()], &mut taken, &unanswered, &fits))
}

proptest! {
    #[test]
    fn a_correct_counter_is_never_convicted(visits in visits()) {
        let verdict = judge(&correct_history(&visits), LIMITS);
        prop_assert!(verdict.holds(), "{verdict:?}");
    }

    #[test]
    fn a_number_returned_again_is_always_found(visits in visits(), which in any::<prop::sample::Index>()) {
        let mut history = correct_history(&visits);
        let answered: Vec<Hit> = history.hits.iter().filter(|hit| hit.number().is_some()).cloned().collect();
        prop_assume!(!answered.is_empty());
        history.hits.push(answered[which.index(answered.len())].clone());
        prop_assert!(!judge(&history, LIMITS).unique.is_empty());
    }

    #[test]
    fn the_count_of_skipped_numbers_agrees_with_the_definition(
        visits in visits(), dropped in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
       // Removing visits leaves numbers without an explanation.
        let mut history = correct_history(&visits);
        for index in dropped {
            history.hits.remove(index.index(history.hits.len()));
            prop_assume!(!history.hits.is_empty());
        }
        prop_assert_eq!(judge(&history, LIMITS).exact.is_empty(), can_be_explained(&history));
    }

    #[test]
    fn the_sweep_for_order_agrees_with_the_definition(
        visits in visits(), swap in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let mut history = correct_history(&visits);
        let (a, b) = (swap.0.index(history.hits.len()), swap.1.index(history.hits.len()));
        let outcome = history.hits[a].outcome.clone();
        history.hits[a].outcome = std::mem::replace(&mut history.hits[b].outcome, outcome);
        let pairs = history.hits.iter().flat_map(|first| history.hits.iter().map(move |second| (first, second)));
        let backwards = pairs.filter(|(first, second)| first.ended < second.started);
        let backwards = backwards.filter_map(|(first, second)| Some(first.number()? >= second.number()?));
        prop_assert_eq!(judge(&history, LIMITS).ordered.is_empty(), !backwards.into_iter().any(|bad| bad));
    }
}
