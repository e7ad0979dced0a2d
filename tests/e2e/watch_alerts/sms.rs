//! SMS, received by a server with the form API.

use std::time::Duration;

use tests::receiver::{Answer, Receiver};
use watch::alert::notifier::{Notification, Retry};

use super::{Files, fails, firing};

const PATH: &str = "/2010-04-01/Accounts/AC01/Messages.json";

fn files() -> Files {
    Files::new().with("token", "0123456789abcdef\n")
}

fn text(receiver: &Receiver, to: &str) -> String {
    let url = receiver.url("");
    format!("[sms]\nurl = \"{url}\"\naccount = \"AC01\"\ntoken_file = \"token\"\nfrom = \"+33600000000\"\nto = {to}\n")
}

#[tokio::test]
async fn each_recipient_gets_the_message_from_the_account() {
    let receiver = Receiver::start().await;
    receiver.answer(PATH, Answer::status(201).body("{\"sid\":\"SM1\"}"));
    let sender = files().sender(&text(&receiver, "[\"+33612345678\", \"+33612345679\"]"));
    sender.send(&firing()).await.unwrap();
    let mut requests = receiver.wait_for(PATH, 2).await;
    requests.sort_by(|a, b| a.body.cmp(&b.body));
    let first = &requests[0];
    // The Base64 encoding of AC01:0123456789abcdef.
    assert_eq!(first.headers["authorization"], "Basic QUMwMTowMTIzNDU2Nzg5YWJjZGVm");
    assert_eq!(first.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(
        first.body,
        "To=%2B33612345678&From=%2B33600000000&Body=swarm+CRITICAL%3A+serveur18+%2810.10.25.166%29+is+down%3A+\
         heartbeat+failure"
    );
    assert!(requests[1].body.starts_with("To=%2B33612345679&"));
}

#[tokio::test]
async fn a_refusal_is_permanent_and_a_server_error_is_not() {
    let receiver = Receiver::start().await;
    let sender = files().sender(&text(&receiver, "\"+33612345678\""));
    receiver.answer(PATH, Answer::status(401).body("{\"message\": \"Authenticate, not with 0123456789abcdef\"}"));
    let failure = fails(&sender, &["0123456789abcdef", "QUMwMTow"]).await;
    assert_eq!(failure.retry, Retry::Permanent);
    assert!(failure.error.contains("401") && failure.error.contains("(secret)"), "{failure:?}");
    receiver.answer(PATH, Answer::status(500));
    assert!(matches!(fails(&sender, &[]).await.retry, Retry::After(_)));
    receiver.answer(PATH, Answer::status(429).field("retry-after", "17"));
    assert_eq!(fails(&sender, &[]).await.retry, Retry::After(Duration::from_secs(17)));
}

#[tokio::test]
async fn a_sender_name_that_begins_like_a_messaging_service_id_is_a_name() {
    let receiver = Receiver::start().await;
    receiver.answer(PATH, Answer::status(201));
    let service = format!("MG{}", "0".repeat(32));
    let sid = format!("&MessagingServiceSid={service}&");
    for (from, field) in [("MGMT Alerts", "&From=MGMT+Alerts&"), (service.as_str(), sid.as_str())] {
        let text = text(&receiver, "\"+33612345678\"").replace("+33600000000", from);
        files().sender(&text).send(&firing()).await.unwrap();
        let bodies: Vec<_> = receiver.received(PATH).into_iter().map(|request| request.body).collect();
        assert!(bodies.last().unwrap().contains(field), "{bodies:?}");
    }
}

#[tokio::test]
async fn each_number_has_its_own_outcome_and_is_tried_again_alone() {
    let receiver = Receiver::start().await;
    receiver.answer_to(PATH, "%2B33612345679", Answer::status(429).field("retry-after", "300"));
    receiver.answer_to(PATH, "%2B33612345670", Answer::status(400).body("{\"message\": \"not a mobile number\"}"));
    let sender = files().sender(&text(&receiver, "[\"+33612345678\", \"+33612345679\", \"+33612345670\"]"));
    let failure = fails(&sender, &[]).await;
    assert_eq!(failure.retry, Retry::Partial);
    let undelivered: Vec<_> = failure.undelivered.iter().map(|one| (one.recipient.as_str(), one.retry)).collect();
    let after = Retry::After(Duration::from_secs(300));
    assert_eq!(undelivered, [("+33612345679", after), ("+33612345670", Retry::Permanent)]);
    let before = receiver.received(PATH).len();
    let again = Notification { recipients: vec!["+33612345679".into()], ..firing() };
    receiver.answer_to(PATH, "%2B33612345679", Answer::status(201));
    sender.send(&again).await.unwrap();
    let requests = receiver.received(PATH);
    assert_eq!(requests.len(), before + 1);
    assert!(requests.last().unwrap().body.contains("%2B33612345679"));
}
