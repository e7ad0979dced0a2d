//! Mail, received by a real server.

use std::time::Duration;

use tests::cert::{Authority, Certificate};
use tests::recorded::Recorded;
use tests::smtp::Smtp;
use tests::wait::{SOON, eventually};
use watch::alert::notifier::{Failure, Kind, Notification, Retry};

use super::{Files, fails, firing, notification, own_authority};
use crate::watch::Watch;

const FROM: &str = "from = \"Watch <watch@example.com>\"\n";
const TO: &str = "to = [\"ops@example.com\", \"Night <night@example.com>\"]\n";

fn text(port: u16, more: &str) -> String {
    format!(
        "[alerts]\ncluster = \"stackdemo\"\nca_file = \"ca.pem\"\n[mail]\nhost = \"localhost\"\nport = {port}\n{FROM}{more}"
    )
}

/// Creates a folder with the authority's certificate and passwords.
fn files(authority: &Authority) -> Files {
    let ca = authority.root_file();
    Files::new().copy("ca.pem", &ca).with("password", "geheim\n").with("wrong", "falsch\n")
}

const LOGIN: &str = "user = \"watch\"\npassword_file = \"password\"\n";

#[tokio::test]
async fn mail_is_sent_over_starttls_with_a_login_and_the_end_replies_to_the_beginning() {
    let authority = Authority::new();
    let certificate = authority.issue("mail", &["localhost"]);
    let server = Smtp::plan().tls(&certificate.combined_file).login("watch", "geheim").start().await;
    let sender = files(&authority).sender(&text(server.port(), &format!("{TO}{LOGIN}")));
    sender.send(&notification("i.1.0", Kind::Firing, None)).await.unwrap();
    sender.send(&notification("i.2.1", Kind::Resolved, Some("i.1.0"))).await.unwrap();

    let mails = server.wait_for(2).await;
    let (first, second) = (&mails[0], &mails[1]);
    assert!(first.tls);
    assert_eq!(first.user.as_deref(), Some("watch"));
    assert_eq!(first.from, "watch@example.com");
    assert_eq!(first.to, ["ops@example.com", "night@example.com"]);
    let field = |name: &str| first.field(name).unwrap_or_default();
    assert_eq!(field("Subject"), "[stackdemo] CRITICAL: serveur18 (10.10.25.166) is down: heartbeat failure");
    assert_eq!(field("Message-ID"), "<i.1.0@example.com>");
    assert_eq!(field("Auto-Submitted"), "auto-generated");
    assert_eq!(field("Importance"), "high");
    assert_eq!(field("From"), "Watch <watch@example.com>");
    assert_eq!(field("To"), "ops@example.com, Night <night@example.com>");
    assert!(!field("Date").is_empty());
    assert_eq!(first.field("References"), None);
    assert!(first.message.contains("since 20"), "{}", first.message);

    assert_eq!(second.field("References").as_deref(), Some("<i.1.0@example.com>"));
    assert_eq!(second.field("In-Reply-To").as_deref(), Some("<i.1.0@example.com>"));
    assert_eq!(second.field("Message-ID").as_deref(), Some("<i.2.1@example.com>"));
    assert!(second.field("Subject").unwrap().starts_with("[stackdemo] RESOLVED: serveur18 (10.10.25.166) is up again"));
    assert!(second.message.contains("it was: serveur18 (10.10.25.166) is down"), "{}", second.message);
}

#[tokio::test]
async fn mail_is_sent_over_implicit_tls() {
    let authority = Authority::new();
    let certificate = authority.issue("mail", &["localhost"]);
    let server = Smtp::plan().implicit_tls(&certificate.combined_file).login("watch", "geheim").start().await;
    let sender = files(&authority).sender(&text(server.port(), &format!("{TO}{LOGIN}tls = \"tls\"")));
    sender.send(&firing()).await.unwrap();
    assert!(server.wait_for(1).await[0].tls);
}

#[tokio::test]
async fn a_listed_certificate_of_an_authority_is_accepted_from_the_server_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (own_authority(folder.path(), "localhost"), own_authority(folder.path(), "other"));
    let files = |certificate: &Certificate| {
        Files::new().copy("ca.pem", &certificate.certificate_file).with("password", "geheim\n")
    };
    for tls in ["starttls", "tls"] {
        let plan = Smtp::plan().login("watch", "geheim");
        let file = &own.combined_file;
        let server = if tls == "tls" { plan.implicit_tls(file) } else { plan.tls(file) }.start().await;
        let settings = text(server.port(), &format!("{TO}{LOGIN}tls = \"{tls}\""));
        files(&own).sender(&settings).send(&firing()).await.unwrap();
        let mails = server.wait_for(1).await;
        assert!(mails[0].tls && mails[0].user.as_deref() == Some("watch"), "{:?}", mails[0]);
        // Another one must not do, not even of the same kind.
        let failure = fails(&files(&other).sender(&settings), &[]).await;
        assert!(failure.error.contains("ca_file lists this very certificate"), "{failure:?}");
        assert_eq!(server.mails().len(), 1);
    }
    // The name still counts.
    let server = Smtp::plan().tls(&other.combined_file).start().await;
    fails(&files(&other).sender(&text(server.port(), TO)), &[]).await;
    assert_eq!(server.mails().len(), 0);
}

#[tokio::test]
async fn the_wrong_kind_of_tls_is_named_in_the_error() {
    let authority = Authority::new();
    let certificate = authority.issue("mail", &["localhost"]);
    let implicit = Smtp::plan().implicit_tls(&certificate.combined_file).start().await;
    let sender = files(&authority).sender(&text(implicit.port(), &format!("{TO}timeout = \"1s\"")));
    let failure = fails(&sender, &[]).await;
    assert!(failure.error.contains("needs tls = \"tls\""), "{failure:?}");
    let starttls = Smtp::plan().tls(&certificate.combined_file).start().await;
    let sender = files(&authority).sender(&text(starttls.port(), &format!("{TO}tls = \"tls\"")));
    let failure = fails(&sender, &[]).await;
    assert!(failure.error.contains("needs tls = \"starttls\""), "{failure:?}");
}

#[tokio::test]
async fn a_wrong_password_is_a_permanent_failure_and_is_not_shown() {
    let authority = Authority::new();
    let certificate = authority.issue("mail", &["localhost"]);
    let server = Smtp::plan().tls(&certificate.combined_file).login("watch", "geheim").start().await;
    let wrong = "user = \"watch\"\npassword_file = \"wrong\"\n";
    let sender = files(&authority).sender(&text(server.port(), &format!("{TO}{wrong}")));
    let failure = fails(&sender, &["falsch", "ZmFsc2No"]).await;
    assert_eq!(failure.retry, Retry::Permanent, "{failure:?}");
    assert!(failure.error.contains("535"), "{failure:?}");
}

#[tokio::test]
async fn mail_is_not_sent_without_tls_or_to_another_server_unless_configured() {
    let authority = Authority::new();
    let server = Smtp::plan().start().await;
    let sender = files(&authority).sender(&text(server.port(), TO));
    assert_eq!(fails(&sender, &[]).await.retry, Retry::Permanent);

    let (other, certificate) = (Authority::new(), authority.issue("mail", &["localhost"]));
    let secured = Smtp::plan().tls(&certificate.combined_file).start().await;
    let sender = files(&other).sender(&text(secured.port(), TO));
    assert!(fails(&sender, &[]).await.error.contains("certificate"), "an unknown authority");
    let certificate = authority.issue("other", &["elsewhere.example.com"]);
    let elsewhere = Smtp::plan().tls(&certificate.combined_file).start().await;
    let sender = files(&authority).sender(&text(elsewhere.port(), TO));
    assert!(fails(&sender, &[]).await.error.contains("certificate"), "another name");
    assert_eq!((server.mails().len(), secured.mails().len(), elsewhere.mails().len()), (0, 0, 0));

    let sender = files(&authority).sender(&text(server.port(), &format!("{TO}tls = \"none\"")));
    sender.send(&firing()).await.unwrap();
    let mails = server.wait_for(1).await;
    assert!(!mails[0].tls && mails[0].user.is_none());
}

/// Returns `to = [...]` for these names, and no TLS.
fn to(names: &[&str]) -> String {
    let addresses: Vec<_> = names.iter().map(|name| format!("\"{name}@example.com\"")).collect();
    format!("tls = \"none\"\nto = [{}]\n", addresses.join(", "))
}

/// Waits until the server has received mail for as many recipients as are expected, and compares them in alphabetical
/// order.
async fn until_recipients_are(server: &Smtp, expected: &[&str]) {
    let names = || {
        let all = server.mails().into_iter().flat_map(|mail| mail.to);
        let mut names: Vec<_> = all.map(|to| to.replace("@example.com", "")).collect();
        names.sort();
        names
    };
    eventually("mail for everyone", SOON, async || names().len() >= expected.len()).await;
    assert_eq!(names(), expected);
}

/// Sends to these names, and returns the failure. Everyone but `left` must have the mail, once.
async fn sends_to_all_but(server: &Smtp, names: &[&str], left: &[&str], more: &str) -> Failure {
    let sender = files(&Authority::new()).sender(&text(server.port(), &format!("{}{more}", to(names))));
    let failure = fails(&sender, &[]).await;
    assert_eq!(failure.retry, Retry::Partial, "{failure:?}");
    let undelivered: Vec<_> = failure.undelivered.iter().map(|one| one.recipient.replace("@example.com", "")).collect();
    assert_eq!(undelivered, left, "{failure:?}");
    let mut others: Vec<_> = names.iter().copied().filter(|name| !left.contains(name)).collect();
    others.sort_unstable();
    until_recipients_are(server, &others).await;
    failure
}

fn is_later(retry: Retry) -> bool {
    matches!(retry, Retry::After(pause) if pause > Duration::from_secs(30))
}

#[tokio::test]
async fn a_refused_recipient_does_not_affect_the_others() {
    let server = Smtp::plan().start().await;
    let failure = sends_to_all_but(&server, &["refused", "a", "b"], &["refused"], "").await;
    assert!(failure.error.contains("1 of 3 recipients failed") && failure.error.contains("550"), "{failure:?}");
    assert_eq!(failure.undelivered[0].retry, Retry::Permanent);
    assert_eq!(server.mails().len(), 1, "the others get one message");
    let sender = files(&Authority::new()).sender(&text(server.port(), &to(&["refused"])));
    assert_eq!(fails(&sender, &[]).await.retry, Retry::Permanent);
}

#[tokio::test]
async fn a_deferred_recipient_does_not_delay_the_others_and_gets_the_mail_later() {
    let server = Smtp::plan().later(2).start().await;
    let names = ["a", "later", "refused", "b"];
    let failure = sends_to_all_but(&server, &names, &["later", "refused"], "").await;
    assert!(failure.undelivered[0].error.contains("450"), "{failure:?}");
    assert!(is_later(failure.undelivered[0].retry), "{failure:?}");
    assert_eq!(failure.undelivered[1].retry, Retry::Permanent);
    assert_eq!(server.mails().len(), 1, "the others get one message");

    // The same message again, for the deferred recipient alone.
    let again = Notification { recipients: vec!["later@example.com".into()], failures: 1, ..firing() };
    let sender = files(&Authority::new()).sender(&text(server.port(), &to(&names)));
    let failure = sender.send(&again).await.unwrap_err();
    assert!(is_later(failure.retry), "{failure:?}");
    sender.send(&again).await.unwrap();
    let mails = server.wait_for(2).await;
    assert_eq!(mails[1].to, ["later@example.com"]);
    // It is known who else has it, and which message it is.
    assert_eq!(mails[1].field("To"), mails[0].field("To"));
    assert_eq!(mails[1].field("Message-ID"), mails[0].field("Message-ID"));
}

#[tokio::test]
async fn a_message_that_is_refused_because_of_one_recipient_reaches_the_others() {
    for (name, code, is_permanent) in [("full", "452", false), ("rejected", "554", true)] {
        let server = Smtp::plan().start().await;
        let failure = sends_to_all_but(&server, &["a", name, "b"], &[name], "").await;
        let undelivered = &failure.undelivered[0];
        assert!(undelivered.error.contains(code), "{failure:?}");
        assert_eq!(undelivered.retry == Retry::Permanent, is_permanent, "{failure:?}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_or_hangs_because_of_one_recipient_does_not_affect_the_others() {
    for name in ["closing", "broken", "hanging"] {
        let server = Smtp::plan().start().await;
        let failure = sends_to_all_but(&server, &["a", name, "b"], &[name], "timeout = \"4s\"\n").await;
        assert!(is_later(failure.undelivered[0].retry), "{failure:?}");
    }
}

#[tokio::test]
async fn more_recipients_than_a_transaction_has_room_for_get_the_mail_at_once() {
    let server = Smtp::plan().room(2).start().await;
    let sender = files(&Authority::new()).sender(&text(server.port(), &to(&["a", "b", "c", "d", "e"])));
    sender.send(&firing()).await.unwrap();
    until_recipients_are(&server, &["a", "b", "c", "d", "e"]).await;
    assert_eq!(server.mails().len(), 3);
}

#[tokio::test]
async fn a_server_that_accepts_no_recipient_is_tried_again_for_all() {
    let server = Smtp::plan().later(2).start().await;
    let sender = files(&Authority::new()).sender(&text(server.port(), &to(&["later", "refused"])));
    let failure = fails(&sender, &[]).await;
    assert!(matches!(failure.retry, Retry::After(_)) && failure.undelivered.is_empty(), "{failure:?}");
    assert_eq!(server.mails().len(), 0);
}

#[tokio::test]
async fn a_listed_server_decides_about_each_recipient_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let own = own_authority(folder.path(), "localhost");
    let server = Smtp::plan().tls(&own.combined_file).later(9).start().await;
    let names = to(&["a", "later", "refused", "b"]).replace("none", "starttls");
    let sender = Files::new().copy("ca.pem", &own.certificate_file).sender(&text(server.port(), &names));
    let failure = fails(&sender, &[]).await;
    assert_eq!(failure.retry, Retry::Partial, "{failure:?}");
    assert_eq!(failure.undelivered.len(), 2, "{failure:?}");
    until_recipients_are(&server, &["a", "b"]).await;
}

#[tokio::test]
async fn a_program_logs_the_outcome_of_each() {
    let server = Smtp::plan().later(1).start().await;
    let config = text(server.port(), &to(&["a", "later", "refused"]));
    let files = files(&Authority::new()).with("watch.toml", &config);
    let engine = Recorded::start("down").await;
    let config = files.folder.path().join("watch.toml");
    let watch = Watch::start(&engine.url(), &["--config", config.to_str().unwrap()]).await;
    assert_eq!(server.wait_for(1).await[0].to, ["a@example.com"]);
    let logged = |words: &[&str]| watch.process.lines().iter().any(|line| words.iter().all(|word| line.contains(word)));
    eventually("the outcome for each recipient", SOON, async || {
        logged(&["message sent in part", "\"missing\":2"])
            && logged(&["message not sent", "later@example.com", "450"])
            && logged(&["message not sent", "refused@example.com", "550"])
    })
    .await;
}

#[tokio::test]
async fn a_temporary_refusal_may_be_retried() {
    // The message is refused for both recipients and for each alone.
    let server = Smtp::plan().busy(3).start().await;
    let sender = files(&Authority::new()).sender(&text(server.port(), &format!("{TO}tls = \"none\"")));
    let failure = fails(&sender, &[]).await;
    assert!(matches!(failure.retry, Retry::After(pause) if pause < Duration::from_secs(3)), "{failure:?}");
    sender.send(&firing()).await.unwrap();
    assert_eq!(server.wait_for(1).await.len(), 1);
    // Sending to a server that is down may be retried as well.
    let port = server.port();
    drop(server);
    let sender = files(&Authority::new()).sender(&text(port, &format!("{TO}tls = \"none\"")));
    assert!(matches!(fails(&sender, &[]).await.retry, Retry::After(_)));
}

#[tokio::test]
async fn the_password_is_in_no_log_at_any_level() {
    let authority = Authority::new();
    let certificate = authority.issue("mail", &["localhost"]);
    let server = Smtp::plan().tls(&certificate.combined_file).login("watch", "geheim").start().await;
    let files = files(&authority).with("watch.toml", &text(server.port(), &format!("{TO}{LOGIN}")));
    let engine = Recorded::start("down").await;
    let config = files.folder.path().join("watch.toml");
    let watch = Watch::start(&engine.url(), &["--log", "trace", "--config", config.to_str().unwrap()]).await;
    assert_eq!(server.wait_for(1).await[0].user.as_deref(), Some("watch"));
    let lines = watch.process.lines();
    assert!(lines.iter().any(|line| line.contains("TRACE")), "the log has no trace lines");
    // Plain, and as encoded by SMTP's PLAIN and LOGIN.
    for secret in ["geheim", "AHdhdGNoAGdlaGVpbQ", "Z2VoZWlt"] {
        let shown: Vec<_> = lines.iter().filter(|line| line.contains(secret)).collect();
        assert!(shown.is_empty(), "{shown:?}");
    }
}
