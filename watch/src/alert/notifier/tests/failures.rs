//! Receivers that fail.

use std::time::Duration;

use super::*;

fn fails(retry: Retry) -> Failure {
    Failure { error: "no route".into(), retry }
}

#[test]
fn a_failure_is_told_through_the_others_and_its_end_too() {
    let mut office = Office::new(vec![line("mail", Severity::Warning), line("sms", Severity::Warning)]);
    office.outcome.insert("mail".into(), fails(Retry::After(Duration::from_secs(3))));
    office.show(&[("a", false)], 20);
    assert_eq!(office.said(), ["sms Firing node_down 1", "sms Firing channel_failing 1"]);
    let shown = office.desk.alerts();
    assert_eq!(shown["channel_failing/mail@m"].summary, "messages cannot be sent by mail: no route");
    office.outcome.clear();
    office.show(&[("a", false)], 60);
    assert_eq!(office.said(), ["mail Firing node_down 1", "sms Resolved channel_failing 1"]);
}

#[test]
fn what_was_over_before_it_could_be_told_is_told_as_such() {
    let mut office = Office::new(vec![line("mail", Severity::Warning)]);
    office.outcome.insert("mail".into(), fails(Retry::After(Duration::from_secs(3))));
    office.show(&[("a", false)], 20);
    office.show(&[], 60);
    office.outcome.clear();
    office.show(&[], 20);
    assert_eq!(office.said(), ["mail Late node_down 1"]);
    office.show(&[], 60);
    assert_eq!(office.said(), NOTHING);
}

#[test]
fn what_is_hopeless_is_left_alone_for_a_while() {
    let mut office = Office::new(vec![line("sms", Severity::Warning)]);
    office.outcome.insert("sms".into(), fails(Retry::Hopeless));
    office.show(&[("a", false)], 10);
    office.outcome.clear();
    office.show(&[("a", false)], 14 * 60);
    assert_eq!(office.said(), NOTHING);
    office.show(&[("a", false)], 60);
    assert_eq!(office.said(), ["sms Firing node_down 1"]);
    // New orders may be what helps.
    office.outcome.insert("sms".into(), fails(Retry::Hopeless));
    office.show(&[("a", false), ("b", false)], 10);
    office.outcome.clear();
    office.replace();
    office.show(&[("a", false), ("b", false)], 2);
    assert_eq!(office.said(), ["sms Firing node_down 1"]);
}

#[test]
fn what_some_have_got_is_not_sent_again() {
    let mut office = Office::new(vec![line("sms", Severity::Warning), line("mail", Severity::Warning)]);
    office.outcome.insert("sms".into(), fails(Retry::Partial));
    office.show(&[("a", false)], 10);
    office.outcome.clear();
    office.show(&[("a", false)], 60);
    let said = office.said();
    assert!(said.iter().all(|word| !word.starts_with("sms Firing node_down")), "{said:?}");
    assert!(said.contains(&"mail Firing channel_failing 1".to_owned()), "{said:?}");
    office.show(&[], 20);
    assert!(office.said().contains(&"sms Resolved node_down 1".to_owned()));
}

#[test]
fn an_end_that_nobody_could_be_told_is_told_though_the_trouble_came_back_for_a_moment() {
    let mut office = Office::new(vec![line("mail", Severity::Warning)]);
    office.show(&[("a", false)], 10);
    assert_eq!(office.said(), ["mail Firing node_down 1"]);
    office.outcome.insert("mail".into(), fails(Retry::After(Duration::from_secs(3))));
    office.show(&[], 30);
    office.show(&[("a", false)], 1);
    office.outcome.clear();
    office.show(&[], 20);
    assert_eq!(office.said(), ["mail Resolved node_down 1"]);
    // The same where even its beginning could not be told.
    office.outcome.insert("mail".into(), fails(Retry::After(Duration::from_secs(3))));
    office.show(&[("b", false)], 20);
    office.show(&[], 20);
    office.show(&[("b", false)], 1);
    office.outcome.clear();
    office.show(&[], 20);
    assert_eq!(office.said(), ["mail Late node_down 1"]);
}
