use std::time::Duration;

use super::*;
use crate::{alert::rule::Rule, cluster_state::Severity};

const SECOND: Millis = 1000;

fn condition(rule: Rule, what: &str) -> Condition {
    Condition::new(rule, what, Severity::Critical, "wrong")
}

/// A states whose time goes on second by second.
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

    /// So many seconds of cluster states that show this.
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
fn what_lasts_fires_and_what_does_not_is_forgotten() {
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
fn what_is_right_for_a_while_is_over_and_shown_for_a_while() {
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
fn what_is_not_known_neither_begins_nor_ends() {
    let mut run = Run::new();
    let down = [condition(Rule::NodeDown, "n1")];
    run.show(&down, &[], 2);
    run.show(&[], &["node_down/"], 60);
    assert_eq!(run.state(DOWN), Some(AlertState::Pending));
    run.show(&down, &[], 1);
    assert_eq!(run.state(DOWN), Some(AlertState::Firing));
    run.show(&[], &["node_down/"], 600);
    assert_eq!(run.state(DOWN), Some(AlertState::Firing));
    // Its end begins with what is known again.
    run.show(&[], &[], 9);
    run.show(&[], &["node_down/"], 1);
    run.show(&[], &[], 10);
    assert_eq!(run.state(DOWN), Some(AlertState::Firing));
    run.show(&[], &[], 1);
    assert_eq!(run.state(DOWN), Some(AlertState::Resolved));
}

#[test]
fn what_comes_and_goes_becomes_one_alert() {
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
    // Twice it began and once it ended; then it was never right for long enough.
    assert!(changes <= 4, "{changes}");
    assert_eq!(run.state(DOWN), Some(AlertState::Firing));
    run.show(&[], &[], MAX_RESOLVE_AFTER / SECOND);
    assert_eq!(run.state(DOWN), Some(AlertState::Resolved));
}

#[test]
fn what_is_explained_is_inhibited_while_the_explanation_lasts_and_a_while_after() {
    let mut run = Run::new();
    let down = condition(Rule::NodeDown, "n1");
    let mut below = condition(Rule::ServiceBelow, "s1");
    below.causes = vec![DOWN.to_owned()];
    run.show(&[below.clone(), down.clone()], &[], 1);
    let inhibited = |run: &Run| run.states.alerts()["service_below/s1"].inhibited_by.clone();
    // A cause that is only pending decides first.
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
fn what_another_instance_announced_goes_on_or_ends_here() {
    let mut run = Run::new();
    run.states.adopt(condition(Rule::NodeDown, "n1"), 5);
    run.states.adopt(condition(Rule::NodeDown, "n2"), 5);
    run.show(&[condition(Rule::NodeDown, "n2")], &[], 11);
    assert_eq!(run.state(DOWN), Some(AlertState::Resolved));
    assert_eq!(run.phase("node_down/n2"), Some(Phase::Firing { at: 5, clear: None }));
    // What is pending here fires: it was told already.
    let mut run = Run::new();
    run.show(&[condition(Rule::NodeDown, "n1")], &[], 1);
    run.states.adopt(condition(Rule::NodeDown, "n1"), 5);
    assert_eq!(run.state(DOWN), Some(AlertState::Firing));
    assert_eq!(run.states.alerts()[DOWN].since, 5);
}

#[test]
fn an_alert_that_somebody_must_still_be_told_of_is_configured() {
    let mut run = Run::new();
    run.show(&[condition(Rule::NodeDown, "n1")], &[], 4);
    run.show(&[], &[], 11);
    run.now += 2 * RESOLVED_RETENTION;
    run.states.observe(Observation::default(), &run.rules, &[], run.now, |fingerprint| fingerprint == DOWN);
    assert_eq!(run.state(DOWN), Some(AlertState::Resolved));
}

#[test]
fn a_cause_explains_what_begins_soon_after_it_and_not_what_goes_wrong_hours_later() {
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
    // Nor does it explain what grows worse hours later.
    let mut worse = below("soon");
    worse.severity = Severity::Warning;
    run.show(&[down.clone(), worse], &[], 1);
    assert!(inhibited(&run, "service_below/soon"));
    run.show(&[down.clone(), below("soon")], &[], 1);
    assert!(!inhibited(&run, "service_below/soon"));
    // What comes and goes takes things with it each time.
    run.show(&[], &[], 5);
    run.show(&[down, below("again")], &[], 1);
    assert_eq!(run.state(DOWN), Some(AlertState::Firing));
    assert!(inhibited(&run, "service_below/again"));
}

#[test]
fn a_cause_explains_nothing_that_matters_more_than_itself() {
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
fn what_is_back_for_a_moment_before_its_end_was_told_is_over_again() {
    let mut run = Run::new();
    let down = [condition(Rule::NodeDown, "n1")];
    run.show(&down, &[], 4);
    run.show(&[], &[], 11);
    let (over, since) = (run.phase(DOWN), run.states.alerts()[DOWN].since);
    assert!(matches!(over, Some(Phase::Resolved { .. })), "{over:?}");
    run.show(&down, &[], 1);
    assert_eq!(run.phase(DOWN), Some(Phase::Pending));
    let gone = |run: &mut Run, owed: bool| {
        run.now += SECOND;
        run.states.observe(Observation::default(), &run.rules, &[], run.now, |_| owed);
    };
    gone(&mut run, true);
    assert_eq!((run.phase(DOWN), run.states.alerts()[DOWN].since), (over, since));
    run.show(&down, &[], 1);
    gone(&mut run, false);
    assert_eq!(run.phase(DOWN), None);
}
