use proptest::prelude::*;

use super::*;
use crate::{
    alert::{
        condition::Subject,
        notifier::{Item, Kind, Notification},
    },
    cluster_state::Severity,
};

const NOW: crate::cluster_state::Millis = 1_795_785_903_000;

fn context() -> Context {
    Context { cluster: "stackdemo".into(), link: Some("http://10.10.25.165:8080/".into()) }
}

fn item(summary: &str) -> Item {
    Item {
        fingerprint: "node_down/n2".into(),
        severity: Severity::Critical,
        summary: summary.into(),
        end: None,
        subject: Subject { node: Some("n2".into()), node_name: Some("serveur18".into()), ..Subject::default() },
        since: NOW - 20_000,
        ended: None,
        thread: None,
    }
}

fn notification(kind: Kind, mut items: Vec<Item>) -> Notification {
    for item in &mut items {
        item.ended = (kind != Kind::Firing).then_some(NOW - 5000);
        item.end = item.ended.map(|_| "serveur18 (10.10.25.166) is up again after 15 s".to_owned());
    }
    Notification {
        id: "i.1.0".into(),
        receiver: "mail".into(),
        kind,
        rule: "node_down",
        items,
        silent: false,
        failures: 0,
        recipients: Vec::new(),
    }
}

const DOWN: &str = "serveur18 (10.10.25.166) is down: heartbeat failure; 2 of 3 managers are left, one more loss would lose the \
                    quorum";

#[test]
fn mail_has_the_summary_the_time_and_a_link() {
    let one = notification(Kind::Firing, vec![item(DOWN)]);
    insta::assert_snapshot!(subject("[stackdemo] ", &one), @"[stackdemo] CRITICAL: serveur18 (10.10.25.166) is down: heartbeat failure; 2 of 3 managers are left, one more loss would lose the quorum");
    insta::assert_snapshot!(body(&context(), &one, NOW), @"
    CRITICAL: serveur18 (10.10.25.166) is down: heartbeat failure; 2 of 3 managers are left, one more loss would lose the quorum
        since 2026-11-27 13:24:43 UTC, 20 s ago

    http://10.10.25.165:8080/

    Swarm: stackdemo
    Rule: node_down
    ");
    let mut warning = item("serveur19 is down (drained)");
    warning.severity = Severity::Warning;
    let two = notification(Kind::Firing, vec![warning, item("serveur18 is down")]);
    insta::assert_snapshot!(subject("", &two), @"CRITICAL (2): serveur18 is down, and more");
    insta::assert_snapshot!(body(&Context::default(), &two, NOW), @"
    WARNING: serveur19 is down (drained)
        since 2026-11-27 13:24:43 UTC, 20 s ago
    CRITICAL: serveur18 is down
        since 2026-11-27 13:24:43 UTC, 20 s ago

    Swarm: 
    Rule: node_down
    ");
    let over = notification(Kind::Resolved, vec![item(DOWN)]);
    insta::assert_snapshot!(subject("[stackdemo] ", &over), @"[stackdemo] RESOLVED: serveur18 (10.10.25.166) is up again after 15 s");
    insta::assert_snapshot!(body(&context(), &over, NOW), @"
    RESOLVED: serveur18 (10.10.25.166) is up again after 15 s
        from 2026-11-27 13:24:43 UTC to 2026-11-27 13:24:58 UTC, 15 s
        it was: serveur18 (10.10.25.166) is down: heartbeat failure; 2 of 3 managers are left, one more loss would lose the quorum

    http://10.10.25.165:8080/

    Swarm: stackdemo
    Rule: node_down
    ");
    let late = notification(Kind::Late, vec![item("serveur18 is down")]);
    insta::assert_snapshot!(body(&context(), &late, NOW), @"
    RESOLVED: serveur18 (10.10.25.166) is up again after 15 s
        from 2026-11-27 13:24:43 UTC to 2026-11-27 13:24:58 UTC, 15 s
        it was: serveur18 is down

    This alert could not be sent while it was firing.

    http://10.10.25.165:8080/

    Swarm: stackdemo
    Rule: node_down
    ");
}

#[test]
fn messages_of_engines_cannot_break_a_line() {
    let odd = notification(Kind::Firing, vec![item("a\r\nBcc: all@example.com\u{7} \t b\u{2028}c")]);
    assert_eq!(subject("", &odd), "CRITICAL: a Bcc: all@example.com b c");
    assert!(!sms(&context(), &odd).contains('\n'));
}

#[test]
fn an_sms_is_short_and_in_the_gsm_alphabet() {
    insta::assert_snapshot!(sms(&context(), &notification(Kind::Firing, vec![item(DOWN)])), @"stackdemo CRITICAL: serveur18 (10.10.25.166) is down: heartbeat failure; 2 of 3 managers are left, one more loss would lose the quorum");
    insta::assert_snapshot!(sms(&context(), &notification(Kind::Resolved, vec![item("a"), item("b")])), @"stackdemo RESOLVED (2): serveur18 (10.10.25.166) is up again after 15 s; serveur18 (10.10.25.166) is up again after 15 s");
    let odd = notification(Kind::Firing, vec![item("d\u{ee}ner \u{2013} caf\u{e9} \u{201c}x\u{201d} \u{1f600} {y}")]);
    insta::assert_snapshot!(sms(&context(), &odd), @r#"stackdemo CRITICAL: diner - café "x" ? {y}"#);
}

#[test]
fn webhooks_have_the_format_of_their_service() {
    let down = notification(Kind::Firing, vec![item("serveur18 <10.10.25.166> is down & out")]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&document(&context(), &down, NOW)).unwrap(), @r#"
    {
      "alerts": [
        {
          "end": null,
          "ended_at": null,
          "fingerprint": "node_down/n2",
          "node": {
            "id": "n2",
            "name": "serveur18"
          },
          "service": null,
          "severity": "critical",
          "started_at": "2026-11-27T13:24:43Z",
          "summary": "serveur18 <10.10.25.166> is down & out",
          "task": null
        }
      ],
      "cluster": "stackdemo",
      "id": "i.1.0",
      "late": false,
      "link": "http://10.10.25.165:8080/",
      "rule": "node_down",
      "sent_at": "2026-11-27T13:25:03Z",
      "severity": "critical",
      "status": "firing",
      "summary": "CRITICAL: serveur18 <10.10.25.166> is down & out",
      "version": 1
    }
    "#);
    insta::assert_snapshot!(serde_json::to_string_pretty(&slack(&context(), &down, NOW)).unwrap(), @r##"
    {
      "attachments": [
        {
          "color": "#d00000",
          "fallback": "CRITICAL: serveur18 <10.10.25.166> is down & out",
          "mrkdwn_in": [
            "text"
          ],
          "text": "serveur18 &lt;10.10.25.166&gt; is down &amp; out\n_since 2026-11-27 13:24:43 UTC, 20 s ago_",
          "title": "stackdemo · CRITICAL · node_down",
          "title_link": "http://10.10.25.165:8080/",
          "ts": 1795785903
        }
      ],
      "text": "[stackdemo] CRITICAL: serveur18 &lt;10.10.25.166&gt; is down &amp; out"
    }
    "##);
    let url = "https://ntfy.example.com/base/topic?auth=x".parse().unwrap();
    let (to, message) = ntfy(&context(), &down, &url, NOW).unwrap();
    assert_eq!(to, "https://ntfy.example.com/base/?auth=x");
    insta::assert_snapshot!(serde_json::to_string_pretty(&message).unwrap(), @r#"
    {
      "click": "http://10.10.25.165:8080/",
      "message": "serveur18 <10.10.25.166> is down & out\n(since 2026-11-27 13:24:43 UTC, 20 s ago)",
      "priority": 5,
      "tags": [
        "rotating_light"
      ],
      "title": "stackdemo: CRITICAL node_down",
      "topic": "topic"
    }
    "#);
    let (to, _) = ntfy(&context(), &down, &"http://ntfy.sh/topic".parse().unwrap(), NOW).unwrap();
    assert_eq!(to, "http://ntfy.sh/");
    assert_eq!(ntfy(&context(), &down, &"http://ntfy.sh/".parse().unwrap(), NOW), None);
    insta::assert_snapshot!(serde_json::to_string_pretty(&alertmanager(&context(), &down, 60_000, NOW)).unwrap(), @r#"
    [
      {
        "annotations": {
          "summary": "serveur18 <10.10.25.166> is down & out"
        },
        "endsAt": "2026-11-27T13:30:03Z",
        "generatorURL": "http://10.10.25.165:8080/",
        "labels": {
          "alertname": "node_down",
          "cluster": "stackdemo",
          "fingerprint": "node_down/n2",
          "node": "serveur18",
          "severity": "critical"
        },
        "startsAt": "2026-11-27T13:24:43Z"
      }
    ]
    "#);
    let over = alertmanager(&context(), &notification(Kind::Resolved, vec![item("x")]), 60_000, NOW);
    assert_eq!(over[0]["endsAt"], "2026-11-27T13:24:58Z");
    let words = "serveur18 (10.10.25.166) is up again after 15 s";
    assert_eq!(over[0]["annotations"], serde_json::json!({ "summary": words, "description": "it was: x" }));
    let over = document(&context(), &notification(Kind::Resolved, vec![item("x")]), NOW);
    let alert = &over["alerts"][0];
    assert_eq!(over["summary"], format!("RESOLVED: {words}"));
    assert_eq!((&alert["summary"], &alert["end"]), (&"x".into(), &words.into()));
}

proptest! {
    #[test]
    fn an_sms_always_fits_one_message(summaries in prop::collection::vec(".{0,400}", 1..5), cluster in ".{0,40}") {
        let items = summaries.iter().map(|summary| item(summary)).collect();
        let text = sms(&Context { cluster, link: None }, &notification(Kind::Firing, items));
        let length: Option<usize> = text.chars().map(gsm::length).sum();
        prop_assert!(length.is_some_and(|length| length <= 160), "{length:?} {text:?}");
    }

    #[test]
    fn a_clean_text_is_one_line_within_the_limit(text in ".{0,300}", most in 1..200_usize) {
        let clean = clean(&text, most);
        prop_assert!(clean.chars().count() <= most);
        prop_assert!(!clean.chars().any(char::is_control));
    }
}
