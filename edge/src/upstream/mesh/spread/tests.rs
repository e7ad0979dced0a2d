//! How connections spread, and which replica comes next.

use proptest::prelude::*;

use super::{
    misnamed::{LONGEST_MISNAMED, MISNAMED},
    *,
};
use crate::config::Ejection;

/// Replicas `a`, `b` and so on, each with one connection.
fn known(count: usize) -> Spread {
    let mut spread = Spread::default();
    for name in (b'a'..).take(count) {
        spread.add(1);
        assert_ne!(spread.learn(UNKNOWN, &[name]), UNKNOWN);
    }
    spread
}

#[test]
fn replica_that_waited_longest_comes_next() {
    let mut spread = known(3);
    let mut turns = Vec::new();
    for _ in 0..6 {
        let next = spread.next(None, false, |_| true).unwrap();
        spread.take_turn(next.replica);
        turns.push(next.replica);
    }
    assert_eq!(turns, [1, 2, 3, 1, 2, 3]);
}

#[test]
fn replica_that_just_appeared_gets_one_turn_and_no_burst() {
    let mut spread = known(2);
    for turn in [1, 2, 1, 2, 1] {
        spread.take_turn(turn);
    }
    spread.add(1);
    spread.learn(UNKNOWN, b"new");
    let mut turns = Vec::new();
    for _ in 0..4 {
        let next = spread.next(None, false, |replica| replica != UNKNOWN).unwrap();
        spread.take_turn(next.replica);
        turns.push(next.replica);
    }
    assert_eq!(turns, [3, 2, 1, 3]);
}

#[test]
fn connections_not_known_come_last_or_first() {
    let spread = known(2);
    let order = |unknown_first| {
        let mut after = None;
        let mut order = Vec::new();
        while let Some(turn) = spread.next(after, unknown_first, |_| true) {
            order.push(turn.replica);
            after = Some(turn);
        }
        order
    };
    assert_eq!(order(false), [1, 2, UNKNOWN]);
    assert_eq!(order(true), [UNKNOWN, 1, 2]);
}

#[test]
fn replica_is_forgotten_after_a_while_without_a_connection() {
    let mut spread = known(2);
    let now = Instant::now();
    spread.remove(1, 2);
    spread.forget(now, |_| true);
    assert!(spread.replicas() == 2 && spread.lacks_one());
    spread.forget(now + KEEP, |_| true);
    assert!(spread.replicas() == 1 && !spread.lacks_one());
    spread.add(1);
    assert_eq!(spread.learn(UNKNOWN, b"z"), 2, "its place is used again");
    assert_eq!(spread.found(), 3);
}

#[test]
fn names_are_bounded_in_number_and_length() {
    let mut spread = Spread::default();
    for number in 0..1000_u32 {
        spread.add(1);
        spread.learn(UNKNOWN, &number.to_be_bytes());
    }
    assert_eq!((spread.replicas(), spread.to_replica(UNKNOWN)), (MAX_REPLICAS, 1000 - MAX_REPLICAS));
    assert_eq!(Spread::default().learn(UNKNOWN, &[b'x'; MAX_NAME + 1]), UNKNOWN);
    assert_eq!(Spread::default().learn(UNKNOWN, b""), UNKNOWN);
}

#[test]
fn both_ends_of_a_connection_that_does_not_answer_are_suspect_until_they_do() {
    let mut spread = known(2);
    spread.add(7);
    spread.suspect(1, 2);
    assert!(spread.is_suspect(1, 1) && spread.is_suspect(7, 2) && !spread.is_suspect(7, 1));
    spread.answered(1, 1);
    assert!(!spread.is_suspect(1, 1) && spread.is_suspect(7, 2), "the node is well");
    spread.answered(7, 2);
    assert!(!spread.is_suspect(1, 2));
    spread.suspect(7, UNKNOWN);
    assert!(!spread.is_suspect(7, UNKNOWN), "a new connection says nothing about the node");
    spread.suspect(1, 2);
    spread.answered(1, 1);
    spread.suspect(7, 2);
    assert!(!spread.is_suspect(7, 1), "the replica explains it");
    assert!(!spread.is_suspect_throughout());
    spread.remove(7, UNKNOWN);
    spread.suspect(1, 1);
    assert!(spread.is_suspect_throughout());
}

#[test]
fn some_replicas_are_expected_if_they_have_no_names() {
    let mut spread = Spread::default();
    assert_eq!(spread.expected(), 0);
    spread.add(1);
    spread.answered(1, UNKNOWN);
    assert_eq!(spread.expected(), UNNAMED);
    let replica = spread.learn(UNKNOWN, b"a");
    spread.answered(1, replica);
    assert_eq!(spread.expected(), 1);
}

#[test]
fn field_that_changes_from_response_to_response_names_no_replica() {
    let mut spread = known(2);
    assert_eq!(spread.learn(1, b"another"), UNKNOWN);
    spread.add(1);
    assert_eq!(spread.learn(UNKNOWN, b"c"), UNKNOWN);
    assert_eq!(spread.learn(2, b"d"), UNKNOWN);
    assert_eq!((spread.to_replica(UNKNOWN), spread.found()), (3, 2));
}

#[test]
fn replicas_are_known_again_when_the_field_names_them_again() {
    let (mut spread, mut now) = (known(2), Instant::now());
    for seconds in [10, 20, 40, 80, 160, 320, 600, 600] {
        // The connection shows another name.
        spread.learn(1, b"another");
        spread.forget(now, |_| true);
        spread.add(1);
        assert_eq!(spread.learn(UNKNOWN, b"a"), UNKNOWN, "{seconds}");
        now += Duration::from_secs(seconds);
        spread.forget(now.checked_sub(Duration::from_millis(1)).unwrap(), |_| true);
        assert_eq!(spread.learn(UNKNOWN, b"a"), UNKNOWN, "{seconds}");
        spread.forget(now, |_| true);
        let replica = spread.learn(UNKNOWN, b"a");
        assert!(replica != UNKNOWN && spread.name(replica) == b"a", "{seconds}");
    }
    now += LONGEST_MISNAMED;
    spread.forget(now, |_| true);
    let replica = spread.learn(UNKNOWN, b"a");
    spread.learn(replica, b"another");
    spread.forget(now, |_| true);
    spread.forget(now + MISNAMED, |_| true);
    assert_ne!(spread.learn(UNKNOWN, b"a"), UNKNOWN, "long ago counts no more");
}

#[test]
fn node_that_refuses_is_asked_less_and_less_often() {
    let (mut spread, now) = (Spread::default(), Instant::now());
    assert!(spread.may_open(1, now));
    for (failures, pause) in [(1, 100), (1, 200), (1, 400), (20, 5000)] {
        (0..failures).for_each(|_| spread.opened(1, false, now));
        let pause = Duration::from_millis(pause);
        assert!(!spread.may_open(1, now + pause - Duration::from_millis(1)) && spread.may_open(1, now + pause));
    }
    spread.opened(1, true, now);
    assert!(spread.may_open(1, now));
    spread.opened(1, false, now);
    spread.answered(1, UNKNOWN);
    assert!(spread.may_open(1, now));
}

/// Each replica gives ten responses, with this number of errors.
fn respond(spread: &mut Spread, errors: &[u64]) {
    for (index, errors) in errors.iter().enumerate() {
        (0..10).for_each(|number| spread.responded(index + 1, number < *errors));
    }
}

#[test]
fn replica_that_errs_more_than_the_others_is_ejected_for_a_while() {
    let (mut spread, now) = (known(3), Instant::now());
    let settings = Ejection::default();
    respond(&mut spread, &[0, 10, 0]);
    let ejected = spread.compare(&settings, now);
    let responses = Responses { total: 10, errors: 10 };
    assert_eq!(ejected, [Ejected { name: "b".to_owned(), responses, duration: settings.base }]);
    assert!(spread.is_ejected(2) && !spread.is_ejected(1) && !spread.is_ejected(3));
    assert_eq!(spread.compare(&settings, now + settings.base / 2), []);
    assert!(spread.is_ejected(2));
    assert_eq!(spread.compare(&settings, now + settings.base), []);
    assert!(!spread.is_ejected(2));
    respond(&mut spread, &[0, 10, 0]);
    let again = spread.compare(&settings, now + settings.base);
    assert_eq!(again.first().map(|ejected| ejected.duration), Some(settings.base * 2));
}

#[test]
fn fault_of_all_replicas_ejects_none() {
    let mut spread = known(3);
    respond(&mut spread, &[10, 9, 10]);
    assert_eq!(spread.compare(&Ejection::default(), Instant::now()), []);
}

#[test]
fn one_of_several_replicas_is_always_left() {
    let (mut spread, settings) = (known(2), Ejection { max_share: 1.0, ..Ejection::default() });
    respond(&mut spread, &[10, 0]);
    assert_eq!(spread.compare(&settings, Instant::now()).len(), 1);
    respond(&mut spread, &[0, 10]);
    assert_eq!(spread.compare(&settings, Instant::now()), []);
}

proptest! {
    /// Whatever is idle: no replica that always has an idle connection waits for more turns than there are
    /// replicas.
    #[test]
    fn every_replica_gets_its_share(count in 1_usize..9, idle in prop::collection::vec(any::<u16>(), 1..300)) {
        let mut spread = known(count);
        let mut got = vec![0_usize; count + 1];
        let mut waits = 0;
        for idle in idle {
            // The first one always has an idle connection.
            let has_idle = |replica: usize| replica == 1 || (replica > 0 && idle >> replica & 1 == 1);
            let next = spread.next(None, false, has_idle).unwrap();
            spread.take_turn(next.replica);
            got[next.replica] += 1;
            waits = if next.replica == 1 { 0 } else { waits + 1 };
            prop_assert!(waits < count, "{waits} turns without the first of {count}");
        }
    }

    /// The counts of replicas and nodes agree, whatever happens.
    #[test]
    fn connections_are_counted_once(steps in prop::collection::vec((0_u8..3, 0_u64..3, any::<u8>()), 0..200)) {
        let mut spread = Spread::default();
        let mut open: Vec<(u64, usize)> = Vec::new();
        for (step, node, name) in steps {
            match (step, open.is_empty()) {
                (0, _) | (_, true) => {
                    spread.add(node);
                    open.push((node, UNKNOWN));
                }
                (1, false) => {
                    let index = usize::from(name) % open.len();
                    if open[index].1 == UNKNOWN {
                        open[index].1 = spread.learn(UNKNOWN, &[name % 5 + 1]);
                    }
                }
                _ => {
                    let (node, replica) = open.swap_remove(usize::from(name) % open.len());
                    spread.remove(node, replica);
                    spread.forget(Instant::now(), |_| false);
                }
            }
            for node in 0..3 {
                prop_assert_eq!(spread.to_node(node), open.iter().filter(|(at, _)| *at == node).count());
            }
            for replica in 0..8 {
                prop_assert_eq!(spread.to_replica(replica), open.iter().filter(|(_, at)| *at == replica).count());
            }
        }
    }
}
