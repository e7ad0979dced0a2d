//! The bodies of webhooks.

use http::Uri;
use serde_json::{Value, json};

use super::{
    context::Context,
    plain::{severity, when},
    wording::{clean, headline, label, problem, shorten, summary},
};
use crate::{
    alert::{
        notification_log::Status,
        notifier::{Item, Kind, Notification},
        time::rfc3339,
    },
    cluster_state::{Millis, Severity},
};

/// This program's own format. Every field is always present, `null` if it has no value. Fields are added, never
/// renamed or removed.
#[must_use]
pub fn document(context: &Context, notification: &Notification, now: Millis) -> Value {
    let named = |id: &Option<String>, name: &Option<String>| {
        id.as_ref().map(|id| json!({ "id": id, "name": name.as_ref().unwrap_or(id) }))
    };
    let alert = |item: &Item| {
        json!({
            "fingerprint": item.fingerprint,
            "severity": severity(item.severity),
            "summary": problem(item),
            "end": item.end.as_ref().map(|_| summary(item)),
            "started_at": rfc3339(item.since),
            "ended_at": item.ended.map(rfc3339),
            "node": named(&item.subject.node, &item.subject.node_name),
            "service": named(&item.subject.service, &item.subject.service_name),
            "task": named(&item.subject.task, &item.subject.task_name),
        })
    };
    json!({
        "version": 1,
        "id": notification.id,
        "status": status(notification.kind),
        "late": notification.kind == Kind::Late,
        "rule": notification.rule,
        "severity": severity(notification.severity()),
        "summary": clean(&headline(notification), 300),
        "cluster": context.cluster,
        "link": context.link,
        "sent_at": rfc3339(now),
        "alerts": notification.items.iter().map(alert).collect::<Vec<_>>(),
    })
}

fn status(kind: Kind) -> &'static str {
    match kind.status() {
        Status::Firing => "firing",
        Status::Resolved => "resolved",
    }
}

/// For Slack: <https://api.slack.com/messaging/webhooks>.
#[must_use]
pub fn slack(context: &Context, notification: &Notification, now: Millis) -> Value {
    let color = match (notification.kind, notification.severity()) {
        (Kind::Resolved | Kind::Late, _) => "#2eb886",
        (Kind::Firing, Severity::Critical) => "#d00000",
        (Kind::Firing, Severity::Warning) => "#daa038",
        (Kind::Firing, Severity::Info) => "#439fe0",
    };
    let line = |item: &Item| format!("{}\n_{}_", escaped(&summary(item)), escaped(&when(item, now)));
    let mut lines: Vec<_> = notification.items.iter().take(20).map(line).collect();
    if notification.items.len() > lines.len() {
        lines.push(format!("and {} more", notification.items.len() - lines.len()));
    }
    let headline = clean(&headline(notification), 150);
    let text = escaped(&format!("[{}] {headline}", context.cluster));
    let mut attachment = json!({
        "color": color,
        "fallback": headline,
        "title": format!("{} \u{b7} {} \u{b7} {}", context.cluster, label(notification), notification.rule),
        "text": lines.join("\n"),
        "mrkdwn_in": ["text"],
        "ts": now / 1000,
    });
    if let Some(link) = &context.link {
        attachment["title_link"] = json!(link);
    }
    json!({ "text": text, "attachments": [attachment] })
}

/// Escapes Slack's three special characters.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// For ntfy: the address to post to, and the body. The topic is the last part of the configured address and goes
/// into the body: <https://docs.ntfy.sh/publish/#publish-as-json>.
#[must_use]
pub fn ntfy(context: &Context, notification: &Notification, url: &Uri, now: Millis) -> Option<(String, Value)> {
    let path = url.path().trim_end_matches('/');
    let (root, topic) = path.rsplit_once('/')?;
    if topic.is_empty() {
        return None;
    }
    let (priority, tag) = match (notification.kind, notification.severity()) {
        (Kind::Resolved | Kind::Late, _) => (3, "white_check_mark"),
        (Kind::Firing, Severity::Critical) => (5, "rotating_light"),
        (Kind::Firing, Severity::Warning) => (4, "warning"),
        (Kind::Firing, Severity::Info) => (2, "information_source"),
    };
    let lines: Vec<_> =
        notification.items.iter().map(|item| format!("{}\n({})", summary(item), when(item, now))).collect();
    let mut message = json!({
        "topic": topic,
        "title": format!("{}: {} {}", context.cluster, label(notification), notification.rule),
        // ntfy turns longer ones into attachments.
        "message": shorten(&lines.join("\n"), 1000),
        "priority": priority,
        "tags": [tag],
    });
    if let Some(link) = &context.link {
        message["click"] = json!(link);
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Some((format!("{}://{}{root}/{query}", url.scheme_str()?, url.authority()?), message))
}

/// For Alertmanager: `POST /api/v2/alerts`. Alertmanager resolves an alert at its `endsAt`, which is a few times
/// `repeat` ahead unless the alert is sent again.
#[must_use]
pub fn alertmanager(context: &Context, notification: &Notification, repeat: Millis, now: Millis) -> Value {
    let alert = |item: &Item| {
        let mut labels = json!({
            "alertname": notification.rule,
            "severity": severity(item.severity),
            "cluster": context.cluster,
            "fingerprint": item.fingerprint,
        });
        let subject = &item.subject;
        let names = [("node", &subject.node_name), ("service", &subject.service_name), ("task", &subject.task_name)];
        for (label, name) in names {
            if let Some(name) = name {
                labels[label] = json!(name);
            }
        }
        let mut annotations = json!({ "summary": summary(item) });
        if item.end.is_some() {
            annotations["description"] = json!(format!("it was: {}", problem(item)));
        }
        json!({
            "labels": labels,
            "annotations": annotations,
            "startsAt": rfc3339(item.since),
            "endsAt": rfc3339(item.ended.unwrap_or(now.saturating_add(repeat.saturating_mul(5)))),
            "generatorURL": context.link.clone().unwrap_or_default(),
        })
    };
    Value::Array(notification.items.iter().map(alert).collect())
}
