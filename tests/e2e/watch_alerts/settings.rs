//! `watch test-alert`: what it sends and reports.

use tests::receiver::{Answer, Receiver};
use tests::smtp::Smtp;

use super::Files;

#[tokio::test]
async fn a_test_message_is_sent_through_every_channel_and_each_outcome_reported() {
    let receiver = Receiver::start().await;
    let (good, bad) = (receiver.url("/good"), receiver.url("/bad"));
    receiver.answer("/bad", Answer::status(403));
    let text = format!(
        "[[webhook]]\nformat = \"json\"\nurl = \"{good}\"\nseverity = \"critical\"\n\
         [[webhook]]\nformat = \"slack\"\nurl = \"{bad}\"\n"
    );
    let report = watch::alert::test(&Files::new().settings(&text)).await.unwrap();
    assert!(!report.is_good());
    let shown = report.to_string();
    assert!(shown.contains("json: sent\n") && shown.contains("slack: not sent: localhost:"), "{shown}");
    assert!(receiver.received("/good")[0].body.contains("this is a test, nothing is wrong"));

    receiver.answer("/bad", Answer::status(200));
    assert!(watch::alert::test(&Files::new().settings(&text)).await.unwrap().is_good());
    let report = watch::alert::test(&Files::new().settings("")).await.unwrap();
    assert!(!report.is_good() && report.to_string().contains("no channel is configured"));
}

#[tokio::test]
async fn a_test_message_that_does_not_reach_everyone_names_the_others() {
    let server = Smtp::plan().start().await;
    let text = format!(
        "[mail]\nhost = \"localhost\"\nport = {}\ntls = \"none\"\nfrom = \"w@example.com\"\n\
         to = [\"a@example.com\", \"refused@example.com\"]\n",
        server.port()
    );
    let report = watch::alert::test(&Files::new().settings(&text)).await.unwrap();
    assert!(!report.is_good());
    let shown = report.to_string();
    let begin = "mail: sent, but not to all recipients\n    refused@example.com: not sent: localhost:";
    assert!(shown.starts_with(begin) && shown.contains("550"), "{shown}");
}
