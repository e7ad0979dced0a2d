//! An instance without a log that is restarted.

use super::*;
use crate::alert::notification_log::NotificationLog;

/// Observes for some seconds that these nodes are down, and returns what is sent.
fn show(notifier: &mut Notifier, now: &mut Millis, down: &[&str], seconds: i64) -> Vec<String> {
    let mut sent = Vec::new();
    for _ in 0..seconds {
        *now += SECOND;
        let node = |name: &&str| {
            let state = if down.contains(name) { NodeState::Down } else { NodeState::Ready };
            ((*name).to_owned(), Node { hostname: (*name).into(), state, ..Node::default() })
        };
        let source = Source { node: "m".into(), leader: true, at: Some(*now), ..Source::default() };
        let nodes = ["a", "b"].iter().map(node).collect();
        notifier.observe(&ClusterState { source, nodes, ..ClusterState::default() }, *now);
        for group in notifier.next(*now) {
            if let Some(notification) = notifier.claimed(&group, Err(()), *now) {
                notifier.sent(&notification, Ok(()), *now);
                let texts = notification.items.iter().map(|item| item.end.as_ref().unwrap_or(&item.summary).clone());
                sent.extend(texts);
            }
        }
    }
    sent
}

#[test]
fn what_was_announced_before_a_restart_is_not_repeated_and_its_end_is_announced() {
    let config = Arc::new(Harness::new(vec![receiver("mail", Severity::Warning)]).config);
    let start = || Notifier::new("i", config.clone()).without_log();
    let restarted = |log: &NotificationLog, now| {
        let mut notifier = start();
        let owned = |(channel, fingerprint, entry): (&str, &str, &LogEntry)| {
            (channel.to_owned(), fingerprint.to_owned(), entry.clone())
        };
        notifier.remember(log.entries().map(owned).collect::<Vec<_>>(), now);
        notifier
    };
    let mut now = 1_000_000;
    let mut notifier = start();
    assert_eq!(show(&mut notifier, &mut now, &["a"], 10), ["a is down"]);
    let known = notifier.announced(now);

    // Nothing has changed meanwhile.
    let mut notifier = restarted(&known, now);
    assert_eq!(show(&mut notifier, &mut now, &["a"], 60), NOTHING);
    // Something has begun.
    let mut notifier = restarted(&known, now);
    assert_eq!(show(&mut notifier, &mut now, &["a", "b"], 60), ["b is down"]);
    // It has ended.
    let mut notifier = restarted(&known, now);
    assert_eq!(show(&mut notifier, &mut now, &[], 60), ["a is up again after 2 min"]);
    let known = notifier.announced(now);
    let mut notifier = restarted(&known, now);
    assert_eq!(show(&mut notifier, &mut now, &[], 60), NOTHING);
    // Without a memory, messages are repeated rather than lost.
    assert_eq!(show(&mut start(), &mut now, &["a"], 10), ["a is down"]);
}
