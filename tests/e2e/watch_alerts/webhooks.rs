//! Webhooks, received by a real HTTP server.

use std::time::Duration;

use serde_json::Value;
use tests::cert::{Authority, Certificate};
use tests::receiver::{Answer, Receiver};
use watch::alert::notifier::{Kind, Retry};

use super::{Files, fails, firing, notification, own_authority};

fn text(format: &str, url: &str, more: &str) -> String {
    format!("[[webhook]]\nformat = \"{format}\"\nurl = \"{url}\"\n{more}")
}

#[tokio::test]
async fn each_format_is_posted_where_its_service_expects_it() {
    let receiver = Receiver::start().await;
    let files = Files::new().with("bearer", "Bearer abcdefgh\n");
    for (format, path, at, key) in [
        ("json", "/hook", "/hook", "alerts"),
        ("slack", "/services/T0/B0/x", "/services/T0/B0/x", "attachments"),
        ("ntfy", "/topic", "/", "topic"),
    ] {
        let sender = files.sender(&text(format, &receiver.url(path), "header_files = { Authorization = \"bearer\" }"));
        sender.send(&firing()).await.unwrap();
        let request = receiver.wait_for(at, 1).await.remove(0);
        assert_eq!(request.method, "POST");
        assert_eq!(request.headers["authorization"], "Bearer abcdefgh");
        assert_eq!(request.headers["content-type"], "application/json");
        let body: Value = serde_json::from_str(&request.body).unwrap();
        assert!(body.get(key).is_some(), "{format}: {body}");
    }
    let sender = files.sender(&text("alertmanager", &receiver.url("/am"), ""));
    sender.send(&firing()).await.unwrap();
    sender.send(&notification("i", Kind::Resolved, None)).await.unwrap();
    let requests = receiver.wait_for("/am/api/v2/alerts", 2).await;
    let alerts: Vec<Value> = requests.iter().map(|request| serde_json::from_str(&request.body).unwrap()).collect();
    assert_eq!(alerts[0][0]["labels"], alerts[1][0]["labels"]);
    assert!(alerts[0][0]["endsAt"].as_str() > alerts[1][0]["endsAt"].as_str());
}

#[tokio::test]
async fn responses_decide_whether_to_retry_and_errors_hide_the_address() {
    let receiver = Receiver::start().await;
    let token = "T0SECRET/B0SECRET";
    let path = format!("/services/{token}");
    let sender = Files::new().sender(&text("slack", &receiver.url(&path), "timeout = \"1s\""));
    for (answer, permanent) in [
        (Answer::status(404).body(&format!("no {path} here")), true),
        (Answer::status(400), true),
        (Answer::status(302).field("location", "http://localhost:1/elsewhere"), true),
        (Answer::status(503), false),
        (Answer::status(429), false),
        (Answer::status(408), false),
        (Answer::status(200).after(Duration::from_secs(30)), false),
    ] {
        receiver.answer(&path, answer);
        let failure = fails(&sender, &[token, "T0SECRET", "B0SECRET"]).await;
        assert_eq!(failure.retry == Retry::Permanent, permanent, "{failure:?}");
    }
    // A pause that the server asks for counts, up to an hour, in seconds or as a date.
    for (status, asked, seconds) in [(429, "90", 90), (503, "90", 90), (503, "Fri, 31 Dec 9999 23:59:59 GMT", 3600)] {
        receiver.answer(&path, Answer::status(status).field("retry-after", asked));
        assert_eq!(fails(&sender, &[token]).await.retry, Retry::After(Duration::from_secs(seconds)), "{asked}");
    }
    receiver.answer(&path, Answer::status(204));
    sender.send(&firing()).await.unwrap();
    let url = receiver.url(&path);
    drop(receiver);
    let sender = Files::new().sender(&text("slack", &url, ""));
    assert!(matches!(fails(&sender, &[token]).await.retry, Retry::After(_)));
}

#[tokio::test]
async fn an_error_contains_no_token_wherever_a_response_that_repeats_it_is_truncated() {
    let receiver = Receiver::start().await;
    let files = Files::new().with("bearer", "Bearer tk_0123456789abcdef\n");
    let headers = "header_files = { Authorization = \"bearer\" }";
    let sender = files.sender(&text("json", &receiver.url("/hook"), headers));
    // Each length truncates the response at another position in the token.
    for length in [0, 180, 186, 192, 198] {
        let body = format!("{} tk_0123456789abcdef", "x".repeat(length));
        receiver.answer("/hook", Answer::status(401).body(&body));
        let failure = fails(&sender, &["tk_"]).await;
        assert!(failure.error.contains("401"), "{failure:?}");
    }
}

#[tokio::test]
async fn certificates_are_checked_against_the_configured_authorities() {
    let (authority, other) = (Authority::new(), Authority::new());
    let receiver = Receiver::start_tls(&authority.issue("hook", &["localhost"])).await;
    let sender = |authority: &Authority| {
        let files = Files::new().copy("ca.pem", &authority.root_file());
        files.sender(&format!("alerts.ca_file = \"ca.pem\"\n{}", text("json", &receiver.url("/"), "")))
    };
    sender(&authority).send(&firing()).await.unwrap();
    let failure = fails(&sender(&other), &[]).await;
    assert!(failure.error.contains("certificate"), "{failure:?}");
    assert_eq!(receiver.received("/").len(), 1);
}

#[tokio::test]
async fn a_listed_certificate_of_an_authority_is_accepted_from_the_server_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (own_authority(folder.path(), "localhost"), own_authority(folder.path(), "other"));
    let receiver = Receiver::start_tls(&own).await;
    let sender = |certificate: &Certificate| {
        let files = Files::new().copy("ca.pem", &certificate.certificate_file);
        files.sender(&format!("alerts.ca_file = \"ca.pem\"\n{}", text("json", &receiver.url("/"), "")))
    };
    sender(&own).send(&firing()).await.unwrap();
    let failure = fails(&sender(&other), &[]).await;
    assert!(failure.error.contains("certificate"), "{failure:?}");
    assert_eq!(receiver.received("/").len(), 1);

    // The name still counts.
    let elsewhere = Receiver::start_tls(&other).await;
    let files = Files::new().copy("ca.pem", &other.certificate_file);
    let settings = format!("alerts.ca_file = \"ca.pem\"\n{}", text("json", &elsewhere.url("/"), ""));
    fails(&files.sender(&settings), &[]).await;
    assert_eq!(elsewhere.received("/").len(), 0);
}
