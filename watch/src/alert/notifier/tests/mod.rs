mod failures;
mod node_loss;
mod recipients;
mod restarts;

use super::*;
use crate::alert::{notification_log::NotificationLog, rule::Rules, silence::Silence};
use crate::cluster_state::{Node, NodeState, Severity, Source};

const SECOND: Millis = 1000;
const MINUTE: Millis = 60_000;

/// A notifier whose log is always available and whose channels behave as configured.
struct Harness {
    notifier: Notifier,
    log: NotificationLog,
    now: Millis,
    config: NotifierConfig,
    /// The outcome of a channel's next attempts; success by default.
    outcome: BTreeMap<String, Failure>,
    sent: Vec<Notification>,
}

fn receiver(name: &str, minimum: Severity) -> Receiver {
    Receiver { name: name.into(), minimum, resolved: true, repeat: 10 * MINUTE }
}

impl Harness {
    fn new(receivers: Vec<Receiver>) -> Self {
        let delays = Delays { group_wait: 2000, group_interval: MINUTE, takeover: 5000, takeover_blind: 15_000 };
        let config = NotifierConfig { rules: Rules::default(), silences: Vec::new(), receivers, delays };
        Self {
            notifier: Notifier::new("i", Arc::new(config.clone())),
            log: NotificationLog::default(),
            now: 1_000_000,
            config,
            outcome: BTreeMap::new(),
            sent: Vec::new(),
        }
    }

    fn replace(&mut self) {
        self.notifier.replace(Arc::new(self.config.clone()));
    }

    /// Observes for some seconds that these nodes are down, drained or not.
    fn show(&mut self, down: &[(&str, bool)], seconds: i64) {
        for _ in 0..seconds {
            self.now += SECOND;
            let node = |(name, drained): &(&str, bool)| {
                let availability =
                    if *drained { crate::cluster_state::Availability::Drain } else { Default::default() };
                (
                    (*name).to_owned(),
                    Node { hostname: (*name).into(), state: NodeState::Down, availability, ..Node::default() },
                )
            };
            let source = Source { node: "m".into(), leader: true, at: Some(self.now), ..Source::default() };
            let cluster = ClusterState { source, nodes: down.iter().map(node).collect(), ..ClusterState::default() };
            self.look(&cluster);
        }
    }

    /// Observes one cluster state, and sends what is due.
    fn look(&mut self, cluster: &ClusterState) {
        {
            self.notifier.observe(cluster, self.now);
            for notification in self.notifier.redeliveries(self.now) {
                let outcome = notification.recipients.first().and_then(|to| self.outcome.get(to).cloned());
                let outcome = outcome.map_or(Ok(()), Err);
                self.notifier.sent(&notification, outcome.clone(), self.now);
                if outcome.is_ok() {
                    self.sent.push(notification);
                }
            }
            for group in self.notifier.next(self.now) {
                let results = group.claim("i", &mut self.log, 20_000, self.now);
                if let Some(notification) = self.notifier.claimed(&group, Ok(results), self.now) {
                    let outcome = self.outcome.get(&notification.receiver).filter(|_| !notification.silent);
                    let outcome = outcome.cloned().map_or(Ok(()), Err);
                    self.notifier.sent(&notification, outcome.clone(), self.now);
                    if outcome.is_ok_or_partial() {
                        self.sent.push(notification);
                    }
                }
            }
            let sync = self.notifier.log_sync(self.now);
            let entries = sync.apply(&mut self.log, self.now);
            self.notifier.synced(&sync, Ok(entries), self.now);
        }
    }

    /// Returns what was sent since the last call, as `CHANNEL KIND RULE COUNT`.
    fn take_sent(&mut self) -> Vec<String> {
        let sent = self.sent.drain(..).filter(|notification| !notification.silent);
        sent.map(|notification| {
            let to = notification.recipients.iter().map(|to| format!(" to {to}"));
            format!(
                "{} {:?} {} {}{}",
                notification.receiver,
                notification.kind,
                notification.rule,
                notification.items.len(),
                to.collect::<String>()
            )
        })
        .collect()
    }
}

trait Reached {
    /// Some recipients have the message.
    fn is_ok_or_partial(&self) -> bool;
}

impl Reached for Result<(), Failure> {
    fn is_ok_or_partial(&self) -> bool {
        self.as_ref().err().is_none_or(|failure| failure.retry == Retry::Partial)
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn alerts_that_fire_together_are_one_message_and_so_is_their_end() {
    let mut harness = Harness::new(vec![receiver("mail", Severity::Warning)]);
    harness.show(&[("a", false), ("b", false)], 4);
    harness.show(&[("a", false), ("b", false), ("c", false)], 1);
    assert_eq!(harness.take_sent(), NOTHING);
    harness.show(&[("a", false), ("b", false), ("c", false)], 10);
    // The third node was not down for long enough when the first message was sent.
    assert_eq!(harness.take_sent(), ["mail Firing node_down 2", "mail Firing node_down 1"]);
    harness.show(&[], 20);
    assert_eq!(harness.take_sent(), ["mail Resolved node_down 3"]);
}

#[test]
fn warnings_of_one_rule_are_spaced_and_critical_alerts_are_not() {
    let mut harness = Harness::new(vec![receiver("mail", Severity::Warning)]);
    harness.show(&[("a", true)], 10);
    harness.show(&[("a", true), ("b", true)], 45);
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1"]);
    harness.show(&[("a", true), ("b", true)], 15);
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1"]);
    harness.show(&[("a", true), ("b", true), ("c", false)], 10);
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1"]);
}

#[test]
fn a_channel_gets_its_minimum_severity_and_again_when_the_severity_increases() {
    let mut harness = Harness::new(vec![receiver("mail", Severity::Warning), receiver("sms", Severity::Critical)]);
    harness.show(&[("a", true)], 10);
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1"]);
    harness.show(&[("a", false)], 10);
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1", "sms Firing node_down 1"]);
    harness.show(&[], 20);
    assert_eq!(harness.take_sent(), ["mail Resolved node_down 1", "sms Resolved node_down 1"]);
}

#[test]
fn a_firing_alert_is_repeated_unless_it_is_informational() {
    let mut harness = Harness::new(vec![receiver("mail", Severity::Info)]);
    harness.show(&[("a", false)], 10);
    let first = harness.sent[0].id.clone();
    harness.show(&[("a", false)], 10 * 60);
    assert_eq!(harness.sent[1].items[0].thread.as_ref(), Some(&first), "a repetition answers the beginning");
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1", "mail Firing node_down 1"]);
    harness.show(&[], 20);
    harness.take_sent();
    harness.config.rules.of_mut(Rule::NodeDown).severity = Some(Severity::Info);
    harness.replace();
    harness.show(&[("b", false)], 30 * 60);
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1"]);
}

#[test]
fn a_silenced_alert_is_not_sent_but_the_end_of_an_announced_one_is() {
    let mut harness = Harness::new(vec![receiver("mail", Severity::Warning)]);
    harness.show(&[("a", false)], 10);
    harness.take_sent();
    let silence = |node: &str, until| Silence { node: Some(node.into()), until, ..Silence::default() };
    harness.config.silences = vec![silence("*", harness.now + 60 * SECOND)];
    harness.replace();
    harness.show(&[("a", false), ("b", false)], 20);
    assert_eq!(harness.take_sent(), NOTHING);
    assert!(harness.notifier.alerts()["node_down/b"].silenced_until.is_some());
    harness.show(&[("b", false)], 20);
    assert_eq!(harness.take_sent(), ["mail Resolved node_down 1"]);
    harness.show(&[("b", false)], 25);
    assert_eq!(harness.take_sent(), ["mail Firing node_down 1"]);
}

#[test]
fn a_channel_without_ends_gets_the_next_beginning() {
    let mut harness = Harness::new(vec![Receiver { resolved: false, ..receiver("sms", Severity::Warning) }]);
    for _ in 0..3 {
        harness.show(&[("a", false)], 10);
        assert_eq!(harness.take_sent(), ["sms Firing node_down 1"]);
        harness.show(&[], 120);
        assert_eq!(harness.take_sent(), NOTHING);
    }
}

#[test]
fn an_alert_that_ends_within_the_group_wait_is_not_sent() {
    let mut harness = Harness::new(vec![receiver("mail", Severity::Warning)]);
    harness.show(&[("a", false)], 5);
    harness.show(&[], 60);
    assert_eq!(harness.take_sent(), NOTHING);
}

#[test]
fn without_a_log_nothing_stays_unlogged() {
    let mut harness = Harness::new(vec![receiver("mail", Severity::Warning)]);
    let mut notifier = Notifier::new("i", Arc::new(harness.config.clone())).without_log();
    let mut sent = 0;
    for second in 0..2 * 3600 {
        harness.now += SECOND;
        let source = Source { node: "m".into(), leader: true, at: Some(harness.now), ..Source::default() };
        let mut cluster = ClusterState { source, ..ClusterState::default() };
        // Another node each minute.
        if second % 60 < 20 {
            let name = format!("n{}", second / 60);
            cluster.nodes.insert(name, Node { state: NodeState::Down, ..Node::default() });
        }
        notifier.observe(&cluster, harness.now);
        for group in notifier.next(harness.now) {
            if let Some(notification) = notifier.claimed(&group, Err(()), harness.now) {
                notifier.sent(&notification, Ok(()), harness.now);
                sent += 1;
            }
        }
        assert!(!notifier.has_unlogged());
    }
    assert_eq!(sent, 240);
    // Ends are remembered for an hour.
    assert!(notifier.receivers["mail"].remembers() <= 61, "{}", notifier.receivers["mail"].remembers());
}
