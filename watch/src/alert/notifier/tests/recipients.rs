//! Recipients that do not have a message which others have.

use std::time::Duration;

use super::*;
use crate::cluster_state::AlertState;

const LATER: Retry = Retry::After(Duration::from_secs(60));

/// All recipients have the message but these.
fn all_but(recipients: &[(&str, Retry)]) -> Failure {
    let undelivered = recipients.iter().map(|(recipient, retry)| Undelivered {
        recipient: (*recipient).to_owned(),
        error: "450 greylisted".into(),
        retry: *retry,
    });
    Failure { undelivered: undelivered.collect(), ..Failure::new("some", Retry::Partial) }
}

/// Returns what was sent about nodes.
fn take_sent_about_nodes(harness: &mut Harness) -> Vec<String> {
    harness.take_sent().into_iter().filter(|message| message.contains("node_down")).collect()
}

fn harness(recipients: &[(&str, Retry)]) -> Harness {
    let mut harness = Harness::new(vec![receiver("mail", Severity::Warning)]);
    harness.outcome.insert("mail".into(), all_but(recipients));
    for (recipient, retry) in recipients {
        harness.outcome.insert((*recipient).into(), Failure::new("450 greylisted", *retry));
    }
    harness
}

#[test]
fn a_deferred_recipient_gets_the_message_alone_and_the_others_do_not_get_it_again() {
    let mut harness = harness(&[("b", LATER)]);
    harness.show(&[("a", false)], 8);
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1"]);
    harness.outcome.clear();
    harness.show(&[("a", false)], 50);
    assert_eq!(harness.take_sent(), NOTHING);
    harness.show(&[("a", false)], 5 * 60);
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1 to b"]);
    harness.show(&[], 20);
    assert_eq!(harness.take_sent(), ["mail Resolved node_down 1"]);
    harness.show(&[], 5 * 60);
    assert_eq!(harness.take_sent(), NOTHING);
    assert!(harness.notifier.alerts().keys().all(|alert| !alert.starts_with("channel_failing")));
}

#[test]
fn each_recipient_is_retried_until_it_has_the_message_or_refuses_it() {
    let mut harness = harness(&[("b", LATER), ("c", LATER), ("d", Retry::Permanent)]);
    harness.show(&[("a", false)], 8);
    harness.outcome.remove("mail");
    harness.take_sent();
    harness.show(&[("a", false)], 3 * 60);
    assert_eq!(harness.take_sent(), NOTHING);
    harness.outcome.remove("b");
    harness.outcome.insert("c".into(), Failure::new("550 no such user", Retry::Permanent));
    harness.show(&[("a", false)], 5 * 60);
    assert_eq!(take_sent_about_nodes(&mut harness), ["mail Firing node_down 1 to b"]);
    harness.outcome.clear();
    harness.show(&[("a", false)], 60);
    assert_eq!(take_sent_about_nodes(&mut harness), NOTHING);
}

#[test]
fn new_settings_do_not_lose_a_message_that_waits() {
    let mut harness = harness(&[("b", LATER)]);
    harness.show(&[("a", false)], 8);
    harness.outcome.clear();
    harness.replace();
    harness.show(&[("a", false)], 2 * 60);
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1", "mail Firing node_down 1 to b"]);
}

#[test]
fn a_newer_message_about_the_same_alert_replaces_the_one_that_waits() {
    let mut harness = harness(&[("b", LATER)]);
    harness.show(&[("a", false)], 8);
    harness.show(&[], 30);
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1", "mail Resolved node_down 1"]);
    harness.outcome.clear();
    // The end was deferred as well: of the two messages, the recipient still needs this one.
    harness.show(&[], 2 * 60);
    assert_eq!(harness.take_sent(), ["mail Resolved node_down 1 to b"]);
    harness.show(&[], 30 * 60);
    assert_eq!(harness.take_sent(), NOTHING);
}

#[test]
fn a_deferred_recipient_of_a_channel_without_ends_gets_the_beginning_with_a_note() {
    let mut harness = harness(&[("b", LATER)]);
    harness.config.receivers[0].resolved = false;
    harness.replace();
    harness.show(&[("a", false)], 8);
    harness.show(&[], 30);
    harness.outcome.clear();
    harness.show(&[], 60);
    assert_eq!(harness.sent.last().unwrap().items[0].end.as_deref(), Some("a was removed from the swarm"));
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1", "mail Late node_down 1 to b"]);
}

#[test]
fn a_recipient_is_given_up_after_hours_and_gets_the_next_message() {
    let mut harness = harness(&[("b", LATER)]);
    harness.config.receivers[0].repeat = 24 * 60 * MINUTE;
    harness.replace();
    harness.show(&[("a", false)], 5 * 3600);
    harness.outcome.clear();
    harness.show(&[("a", false)], 3600);
    assert_eq!(take_sent_about_nodes(&mut harness), ["mail Firing node_down 1"]);
}

#[test]
fn a_refused_recipient_is_a_warning_to_the_others_and_a_deferred_one_only_after_half_an_hour() {
    let state = |harness: &Harness| {
        let alerts = harness.notifier.alerts();
        alerts.get("channel_failing/mail@m").map(|alert| (alert.state, alert.severity, alert.summary.clone()))
    };
    let summary = "messages through mail do not reach everyone: b: 450 greylisted".to_owned();
    let firing = Some((AlertState::Firing, Severity::Warning, summary));
    let mut refused = harness(&[("b", Retry::Permanent)]);
    refused.show(&[("a", false)], 6 * 60);
    assert_eq!(state(&refused), firing);
    assert_eq!(refused.take_sent(), ["mail Firing node_down 1", "mail Firing channel_failing 1"]);
    // It lasts until a message reaches everyone.
    refused.show(&[], 30 * 60);
    assert_eq!(state(&refused), firing);
    refused.outcome.clear();
    refused.show(&[("c", false)], 60);
    assert_eq!(state(&refused).unwrap().0, AlertState::Resolved);
    assert!(
        state(&refused).unwrap().2.starts_with("messages can be sent through mail again after"),
        "{:?}",
        state(&refused)
    );

    let mut deferred = harness(&[("b", LATER)]);
    deferred.config.receivers[0].repeat = 24 * 60 * MINUTE;
    deferred.replace();
    deferred.show(&[("a", false)], 29 * 60);
    assert_eq!(state(&deferred), None);
    deferred.show(&[("a", false)], 8 * 60);
    assert_eq!(state(&deferred), firing);
}
