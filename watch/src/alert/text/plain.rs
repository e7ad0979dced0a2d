//! Mail: a subject and a body, short enough to read on a telephone at night.

use super::{
    context::Context,
    wording::{clean, headline, label, problem, summary},
};
use crate::{
    alert::{
        notifier::{Item, Kind, Notification},
        time,
    },
    cluster_state::{Millis, Severity},
};

/// Returns the subject of a mail.
#[must_use]
pub fn subject(prefix: &str, notification: &Notification) -> String {
    format!("{prefix}{}", clean(&headline(notification), 150))
}

/// Returns the body of a mail.
#[must_use]
pub fn body(context: &Context, notification: &Notification, now: Millis) -> String {
    let mut text = String::new();
    for item in &notification.items {
        text.push_str(&format!("{}: {}\n", label_of(notification, item), summary(item)));
        text.push_str(&format!("    {}\n", when(item, now)));
        if item.end.is_some() {
            text.push_str(&format!("    it was: {}\n", problem(item)));
        }
    }
    text.push('\n');
    if notification.kind == Kind::Late {
        text.push_str("This alert could not be sent while it was firing.\n\n");
    }
    if let Some(link) = &context.link {
        text.push_str(&format!("{link}\n\n"));
    }
    text.push_str(&format!("Swarm: {}\nRule: {}\n", context.cluster, notification.rule));
    text
}

fn label_of(notification: &Notification, item: &Item) -> &'static str {
    label(&Notification { items: vec![Item { severity: item.severity, ..item.clone() }], ..notification.clone() })
}

/// Describes since when an alert fires, or how long it did.
pub(super) fn when(item: &Item, now: Millis) -> String {
    match item.ended {
        Some(ended) => {
            format!("from {} to {}, {}", time::moment(item.since), time::moment(ended), time::span(ended - item.since))
        }
        None => format!("since {}, {} ago", time::moment(item.since), time::span(now - item.since)),
    }
}

/// Returns a severity as other programs write it.
pub(super) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}
