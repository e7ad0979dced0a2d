use std::time::Duration;

use super::*;
use crate::{alert::rule::Rule, cluster_state::Severity};

const SECOND: Millis = 1000;

fn condition(rule: Rule, what: &str) -> Condition {
    Condition::new(rule, what, Severity::Critical, "wrong")
}

/// Alert states over time, in steps of a second.
struct Run {
    states: AlertStates,
    rules: Rules,
    now: Millis,
}

impl Run {
    fn new() -> Self {
        let mut rules = Rules::default();
        rules.of_mut(Rule::NodeDown).timing.wait = Duration::from_secs(3);
        rules.of_mut(Rule::NodeDown).timing.resolve_after = Duration::from_secs(10);
        Self { states: AlertStates::default(), rules, now: 1_000_000 }
    }

    /// Observes these conditions for some seconds.
    fn show(&mut self, conditions: &[Condition], unknown: &[&str], seconds: i64) {
        for _ in 0..seconds {
            self.now += SECOND;
            let observation = Observation {
                conditions: conditions.to_vec(),
                unknown: unknown.iter().map(ToString::to_string).collect(),
            };
            self.states.observe(observation, &self.rules, &[], self.now, |_| false);
        }
    }

    fn phase(&self, fingerprint: &str) -> Option<Phase> {
        self.states.alerts().get(fingerprint).map(|alert| alert.phase)
    }

    fn state(&self, fingerprint: &str) -> Option<AlertState> {
        self.states.alerts().get(fingerprint).map(Alert::state)
    }
}

const DOWN: &str = "node_down/n1";

#[test]
fn a_lasting_condition_fires_and_a_short_one_is_dropped() {
    let mut run = Run::new();
    let down = [condition(Rule::NodeDown, "n1")];
    run.show(&down, &[], 3);
    assert_eq!(run.phase(DOWN), Some(Phase::Pending));
    run.show(&[], &[], 1);
    assert_eq!(run.phase(DOWN), None);
    run.show(&down, &[], 4);
    assert_eq!(run.phase(DOWN), Some(Phase::Firing { at: run.now, clear: None }));
}

#[test]
fn a_condition_absent_for_long_enough_is_resolved_and_shown_for_a_while() {
    let mut run = Run::new();
    run.show(&[condition(Rule::NodeDown, "n1")], &[], 4);
    run.show(&[], &[], 10);
    assert_eq!(run.state(DOWN), Some(AlertState::Firing));
    run.show(&[], &[], 1);
    assert_eq!(run.state(DOWN), Some(AlertState::Resolved));
    run.show(&[], &[], RESOLVED_RETENTION / SECOND - 1);
    assert_eq!(run.state(DOWN), Some(AlertState::Resolved));
    run.show(&[], &[], 1);
    assert_eq!(run.state(DOWN), None);
}

#[test]
fn an_unknown_condition_neither_begins_nor_ends_an_alert() {
    let mut run = Run::new();
    let down = [condition(Rule::NodeDown, "n1")];
    run.show(&down, &[], 2);
    run.show(&[], &["node_down/"], 60);
    assert_eq!(run.state(DOWN), Some(AlertState::Pending));
    run.show(&down, &[], 1);
    assert_eq!(run.state(DOWN), Some(AlertState::Firing));
    run.show(&[], &["node_down/"], 600);
    assert_eq!(run.state(DOWN), Some(AlertState::Firing));
    // The time until the end starts over when the state is known again.
    run.show(&[], &[], 9);
    run.show(&[], &["node_down/"], 1);
    run.show(&[], &[], 10);
    assert_eq!(run.state(DOWN), Some(AlertState::Firing));
    run.show(&[], &[], 1);
    assert_eq!(run.state(DOWN), Some(AlertState::Resolved));
}

#[test]
fn a_flapping_condition_becomes_one_alert() {
    let mut run = Run::new();
    let down = [condition(Rule::NodeDown, "n1")];
    let mut changes = 0;
    let mut before = None;
    for _ in 0..100 {
        run.show(&down, &[], 20);
        for _ in 0..20 {
            run.show(&[], &[], 1);
            let state = run.state(DOWN);
            changes += usize::from(state != before);
            before = state;
        }
    }
    // It began and ended once and began again; after that it was never clear for long enough.
    assert!(changes <= 4, "{changes}");
    assert_eq!(run.state(DOWN), Some(AlertState::Firing));
    run.show(&[], &[], MAX_RESOLVE_AFTER / SECOND);
    assert_eq!(run.state(DOWN), Some(AlertState::Resolved));
}

#[test]
fn an_alert_is_inhibited_while_its_cause_lasts_and_a_while_after() {
    let mut run = Run::new();
    let down = condition(Rule::NodeDown, "n1");
    let mut below = condition(Rule::ServiceBelow, "s1");
    below.causes = vec![DOWN.to_owned()];
    run.show(&[below.clone(), down.clone()], &[], 1);
    let inhibited = |run: &Run| run.states.alerts()["service_below/s1"].inhibited_by.clone();
    // A cause that is only pending inhibits until it is decided.
    assert_eq!(inhibited(&run).as_deref(), Some(DOWN));
    run.show(&[below.clone(), down], &[], 70);
    assert_eq!(inhibited(&run).as_deref(), Some(DOWN));
    // The node is back, and the rule does not name it any more.
    below.causes.clear();
    run.show(&[below.clone()], &[], 11);
    assert_eq!(run.state(DOWN), Some(AlertState::Resolved));
    run.show(&[below.clone()], &[], INHIBIT_LINGER / SECOND - 1);
    assert_eq!(inhibited(&run).as_deref(), Some(DOWN));
    run.show(&[below], &[], 1);
    assert_eq!(inhibited(&run), None);
    assert_eq!(run.state("service_below/s1"), Some(AlertState::Firing));
}

#[test]
fn an_adopted_alert_continues_or_is_resolved() {
    let mut run = Run::new();
    run.states.adopt(condition(Rule::NodeDown, "n1"), 5);
    run.states.adopt(condition(Rule::NodeDown, "n2"), 5);
    run.show(&[condition(Rule::NodeDown, "n2")], &[], 11);
    assert_eq!(run.state(DOWN), Some(AlertState::Resolved));
    assert_eq!(run.phase("node_down/n2"), Some(Phase::Firing { at: 5, clear: None }));
    // A pending alert fires, since it was announced already.
    let mut run = Run::new();
    run.show(&[condition(Rule::NodeDown, "n1")], &[], 1);
    run.states.adopt(condition(Rule::NodeDown, "n1"), 5);
    assert_eq!(run.state(DOWN), Some(AlertState::Firing));
    assert_eq!(run.states.alerts()[DOWN].since, 5);
}

#[test]
fn an_alert_that_still_needs_a_notification_is_kept() {
    let mut run = Run::new();
    run.show(&[condition(Rule::NodeDown, "n1")], &[], 4);
    run.show(&[], &[], 11);
    run.now += 2 * RESOLVED_RETENTION;
    run.states.observe(Observation::default(), &run.rules, &[], run.now, |fingerprint| fingerprint == DOWN);
    assert_eq!(run.state(DOWN), Some(AlertState::Resolved));
}

#[test]
fn a_cause_inhibits_what_begins_soon_after_it_and_not_hours_later() {
    let mut run = Run::new();
    let down = condition(Rule::NodeDown, "n1");
    let below = |service: &str| {
        let mut below = condition(Rule::ServiceBelow, service);
        below.causes = vec![DOWN.to_owned()];
        below
    };
    let inhibited = |run: &Run, alert: &str| run.states.alerts()[alert].inhibited_by.is_some();
    run.show(std::slice::from_ref(&down), &[], 1);
    run.show(std::slice::from_ref(&down), &[], INHIBIT_WINDOW / SECOND - 1);
    run.show(&[down.clone(), below("soon")], &[], 1);
    run.show(&[down.clone(), below("soon"), below("late")], &[], 3600);
    assert!(inhibited(&run, "service_below/soon"));
    assert!(!inhibited(&run, "service_below/late"));
    // Nor does it inhibit an alert whose severity increases hours later.
    let mut worse = below("soon");
    worse.severity = Severity::Warning;
    run.show(&[down.clone(), worse], &[], 1);
    assert!(inhibited(&run, "service_below/soon"));
    run.show(&[down.clone(), below("soon")], &[], 1);
    assert!(!inhibited(&run, "service_below/soon"));
    // A flapping cause inhibits again what fails with it.
    run.show(&[], &[], 5);
    run.show(&[down, below("again")], &[], 1);
    assert_eq!(run.state(DOWN), Some(AlertState::Firing));
    assert!(inhibited(&run, "service_below/again"));
}

#[test]
fn a_cause_does_not_inhibit_a_higher_severity() {
    let mut run = Run::new();
    let mut drained = condition(Rule::NodeDown, "n1");
    drained.severity = Severity::Warning;
    let mut below = condition(Rule::ServiceBelow, "s1");
    below.causes = vec![DOWN.to_owned()];
    let inhibited = |run: &Run| run.states.alerts()["service_below/s1"].inhibited_by.is_some();
    run.show(&[drained.clone(), below.clone()], &[], 70);
    assert!(!inhibited(&run));
    below.severity = Severity::Warning;
    run.show(&[drained, below], &[], 1);
    assert!(inhibited(&run));
}

#[test]
fn an_alert_that_comes_back_briefly_keeps_its_unsent_end() {
    let mut run = Run::new();
    let down = [condition(Rule::NodeDown, "n1")];
    run.show(&down, &[], 4);
    run.show(&[], &[], 11);
    let (over, since) = (run.phase(DOWN), run.states.alerts()[DOWN].since);
    assert!(matches!(over, Some(Phase::Resolved { .. })), "{over:?}");
    run.show(&down, &[], 1);
    assert_eq!(run.phase(DOWN), Some(Phase::Pending));
    let gone = |run: &mut Run, keep: bool| {
        run.now += SECOND;
        run.states.observe(Observation::default(), &run.rules, &[], run.now, |_| keep);
    };
    gone(&mut run, true);
    assert_eq!((run.phase(DOWN), run.states.alerts()[DOWN].since), (over, since));
    run.show(&down, &[], 1);
    gone(&mut run, false);
    assert_eq!(run.phase(DOWN), None);
}

#[test]
fn an_alert_that_ended_says_how_with_the_time_of_its_condition() {
    let mut run = Run::new();
    let down = [condition(Rule::NodeDown, "n1")];
    run.show(&down, &[], 50);
    run.show(&[], &[], 3);
    run.show(&down, &[], 10);
    run.show(&[], &[], 11);
    run.states.describe_ends(|condition, _| End::Over(format!("{} is up", condition.what())));
    // Not the ten seconds until it counts as resolved.
    let words = "n1 is up after 1 min; it came back once meanwhile";
    assert_eq!(run.states.alerts()[DOWN].shown().summary, words);
    // The first words remain, also if the condition comes back briefly.
    run.states.describe_ends(|_, _| End::Gone("other".into()));
    assert_eq!(run.states.alerts()[DOWN].shown().summary, words);
    run.show(&down, &[], 1);
    assert_eq!(run.states.alerts()[DOWN].shown().summary, "wrong");
    run.states.observe(Observation::default(), &run.rules, &[], run.now, |_| true);
    assert_eq!(run.states.alerts()[DOWN].shown().summary, words);
}
