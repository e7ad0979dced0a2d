//! Receivers that fail.

use std::time::Duration;

use super::*;
use crate::cluster_state::AlertState;

fn fails(retry: Retry) -> Failure {
    Failure::new("no route", retry)
}

/// Returns the severity of the alert about the channel mail, if it fires.
fn channel_failing(harness: &Harness) -> Option<Severity> {
    let alerts = harness.notifier.alerts();
    let alert = alerts.get("channel_failing/mail@m")?;
    (alert.state == AlertState::Firing).then_some(alert.severity)
}

#[test]
fn a_failing_channel_is_announced_through_the_others_and_so_is_its_recovery() {
    let mut harness = Harness::new(vec![receiver("mail", Severity::Warning), receiver("chat", Severity::Warning)]);
    harness.outcome.insert("mail".into(), fails(Retry::After(Duration::from_secs(60))));
    harness.show(&[("a", false)], 5 * 60);
    assert_eq!(harness.take_sent(), ["chat Firing node_down 1"]);
    harness.show(&[("a", false)], 3 * 60);
    assert_eq!(harness.take_sent(), ["chat Firing channel_failing 1"]);
    let shown = harness.notifier.alerts();
    assert_eq!(shown["channel_failing/mail@m"].summary, "messages cannot be sent through mail: no route");
    harness.outcome.clear();
    harness.show(&[("a", false)], 4 * 60);
    let over = harness.sent.iter().find(|notification| notification.rule == "channel_failing").unwrap();
    let end = over.items[0].end.as_deref().unwrap();
    assert!(end.starts_with("messages can be sent through mail again after "), "{end}");
    let sent = harness.take_sent();
    assert!(sent.contains(&"mail Firing node_down 1".to_owned()), "{sent:?}");
    assert!(sent.contains(&"chat Resolved channel_failing 1".to_owned()), "{sent:?}");
}

#[test]
fn a_channel_that_fails_for_seconds_is_no_alert_and_one_that_fails_for_minutes_a_warning_before_it_is_critical() {
    let minutes = |minutes: u64, outage: i64| {
        let mut harness = Harness::new(vec![receiver("mail", Severity::Warning), receiver("sms", Severity::Critical)]);
        harness.outcome.insert("mail".into(), fails(Retry::After(Duration::from_secs(60 * minutes))));
        harness.show(&[("a", true)], 10);
        let mut stages = Vec::new();
        for _ in 0..outage * 60 {
            harness.show(&[("a", true)], 1);
            let severity = channel_failing(&harness);
            if stages.last() != Some(&severity) {
                stages.push(severity);
            }
        }
        (stages, harness.take_sent())
    };
    let critical = vec![None, Some(Severity::Warning), Some(Severity::Critical)];
    assert_eq!(minutes(1, 4), (vec![None], Vec::new()));
    assert_eq!(minutes(1, 14), (critical[..2].to_vec(), Vec::new()));
    assert_eq!(minutes(1, 18), (critical, vec!["sms Firing channel_failing 1".to_owned()]));

    // Two failures within seconds, and another instance that sends the message.
    let mut harness = Harness::new(vec![receiver("mail", Severity::Warning), receiver("sms", Severity::Warning)]);
    harness.outcome.insert("mail".into(), fails(Retry::After(Duration::from_secs(2))));
    harness.show(&[("a", false)], 8);
    assert!(harness.notifier.receivers["mail"].problem(harness.now).is_some(), "two attempts have failed");
    let entry = harness.log.entries().find(|(channel, ..)| *channel == "sms").unwrap().2.clone();
    harness.log.record("other", "mail", "node_down/a", entry);
    harness.show(&[("a", false)], 10 * 60);
    assert_eq!(channel_failing(&harness), None);
    assert_eq!(harness.take_sent(), ["sms Firing node_down 1", "sms Firing node_down 1"]);
}

#[test]
fn a_channel_that_is_refused_for_good_is_a_warning_after_minutes_and_critical_after_the_next_attempt() {
    let mut harness = Harness::new(vec![receiver("mail", Severity::Warning), receiver("sms", Severity::Critical)]);
    harness.outcome.insert("mail".into(), fails(Retry::Permanent));
    harness.show(&[("a", true)], 4 * 60);
    assert_eq!(channel_failing(&harness), None);
    harness.show(&[("a", true)], 2 * 60);
    assert_eq!(channel_failing(&harness), Some(Severity::Warning));
    harness.show(&[("a", true)], 10 * 60);
    assert_eq!(channel_failing(&harness), Some(Severity::Critical));
}

#[test]
fn an_alert_that_ended_before_it_could_be_sent_is_sent_late() {
    let mut harness = Harness::new(vec![receiver("mail", Severity::Warning)]);
    harness.outcome.insert("mail".into(), fails(Retry::After(Duration::from_secs(3))));
    harness.show(&[("a", false)], 20);
    harness.show(&[], 60);
    harness.outcome.clear();
    harness.show(&[], 20);
    assert_eq!(harness.take_sent(), ["mail Late node_down 1"]);
    harness.show(&[], 60);
    assert_eq!(harness.take_sent(), NOTHING);
}

#[test]
fn a_permanent_failure_is_retried_much_later() {
    let mut harness = Harness::new(vec![receiver("sms", Severity::Warning)]);
    harness.outcome.insert("sms".into(), fails(Retry::Permanent));
    harness.show(&[("a", false)], 10);
    harness.outcome.clear();
    harness.show(&[("a", false)], 14 * 60);
    assert_eq!(harness.take_sent(), NOTHING);
    harness.show(&[("a", false)], 60);
    assert_eq!(harness.take_sent(), ["sms Firing node_down 1"]);
    // A new configuration may fix the cause.
    harness.outcome.insert("sms".into(), fails(Retry::Permanent));
    harness.show(&[("a", false), ("b", false)], 10);
    harness.outcome.clear();
    harness.replace();
    harness.show(&[("a", false), ("b", false)], 2);
    assert_eq!(harness.take_sent(), ["sms Firing node_down 1"]);
}

#[test]
fn an_unsent_end_is_sent_after_the_alert_came_back_briefly() {
    let mut harness = Harness::new(vec![receiver("mail", Severity::Warning)]);
    harness.show(&[("a", false)], 10);
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1"]);
    harness.outcome.insert("mail".into(), fails(Retry::After(Duration::from_secs(3))));
    harness.show(&[], 30);
    harness.show(&[("a", false)], 1);
    harness.outcome.clear();
    harness.show(&[], 20);
    assert_eq!(harness.take_sent(), ["mail Resolved node_down 1"]);
    // The same if even the beginning could not be sent.
    harness.outcome.insert("mail".into(), fails(Retry::After(Duration::from_secs(3))));
    harness.show(&[("b", false)], 20);
    harness.show(&[], 20);
    harness.show(&[("b", false)], 1);
    harness.outcome.clear();
    harness.show(&[], 20);
    assert_eq!(harness.take_sent(), ["mail Late node_down 1"]);
}
