//! Receivers that fail.

use std::time::Duration;

use super::*;

fn fails(retry: Retry) -> Failure {
    Failure { error: "no route".into(), retry }
}

#[test]
fn a_failing_channel_is_announced_through_the_others_and_so_is_its_recovery() {
    let mut harness = Harness::new(vec![receiver("mail", Severity::Warning), receiver("sms", Severity::Warning)]);
    harness.outcome.insert("mail".into(), fails(Retry::After(Duration::from_secs(3))));
    harness.show(&[("a", false)], 20);
    assert_eq!(harness.take_sent(), ["sms Firing node_down 1", "sms Firing channel_failing 1"]);
    let shown = harness.notifier.alerts();
    assert_eq!(shown["channel_failing/mail@m"].summary, "messages cannot be sent through mail: no route");
    harness.outcome.clear();
    harness.show(&[("a", false)], 60);
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1", "sms Resolved channel_failing 1"]);
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
fn a_partly_sent_message_is_not_sent_again() {
    let mut harness = Harness::new(vec![receiver("sms", Severity::Warning), receiver("mail", Severity::Warning)]);
    harness.outcome.insert("sms".into(), fails(Retry::Partial));
    harness.show(&[("a", false)], 10);
    harness.outcome.clear();
    harness.show(&[("a", false)], 60);
    let sent = harness.take_sent();
    assert!(sent.iter().all(|message| !message.starts_with("sms Firing node_down")), "{sent:?}");
    assert!(sent.contains(&"mail Firing channel_failing 1".to_owned()), "{sent:?}");
    harness.show(&[], 20);
    assert!(harness.take_sent().contains(&"sms Resolved node_down 1".to_owned()));
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
