mod failures;
mod node_loss;

use super::*;
use crate::alert::{notification_log::Book, rule::Rules, silence::Silence};
use crate::cluster_state::{Node, NodeState, Source};

const SECOND: Millis = 1000;
const MINUTE: Millis = 60_000;

/// A desk, with a ledger that always answers and channels that do as they are told.
struct Office {
    desk: Desk,
    book: Book,
    now: Millis,
    orders: Orders,
    /// What the next attempts of a channel come to.
    outcome: BTreeMap<String, Failure>,
    sent: Vec<Notice>,
}

fn line(name: &str, minimum: Severity) -> Line {
    Line { name: name.into(), minimum, resolved: true, repeat: 10 * MINUTE }
}

impl Office {
    fn new(lines: Vec<Line>) -> Self {
        let delays = Delays { group_wait: 2000, group_interval: MINUTE, takeover: 5000, blind: 15_000 };
        let orders = Orders { rules: Rules::default(), silences: Vec::new(), lines, delays };
        Self {
            desk: Desk::new("i", Arc::new(orders.clone())),
            book: Book::default(),
            now: 1_000_000,
            orders,
            outcome: BTreeMap::new(),
            sent: Vec::new(),
        }
    }

    fn replace(&mut self) {
        self.desk.replace(Arc::new(self.orders.clone()));
    }

    /// So many seconds, in which these nodes are down, drained or not.
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

    /// What comes of one cluster state.
    fn look(&mut self, cluster: &ClusterState) {
        {
            self.desk.observe(cluster, self.now);
            for job in self.desk.next(self.now) {
                let verdicts = job.claim("i", &mut self.book, 20_000, self.now);
                if let Some(notice) = self.desk.claimed(&job, Ok(verdicts), self.now) {
                    let outcome = self.outcome.get(&notice.line).cloned().map_or(Ok(()), Err);
                    self.desk.sent(&notice, outcome.clone(), self.now);
                    if outcome.is_ok() {
                        self.sent.push(notice);
                    }
                }
            }
            let push = self.desk.push(self.now);
            let told = push.apply(&mut self.book, self.now);
            self.desk.synced(&push, Ok(told), self.now);
        }
    }

    /// What was said since the last time, as `CHANNEL KIND RULE COUNT`.
    fn said(&mut self) -> Vec<String> {
        let said = self.sent.drain(..).filter(|notice| !notice.silent);
        said.map(|notice| format!("{} {:?} {} {}", notice.line, notice.kind, notice.rule, notice.items.len())).collect()
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn what_fires_together_is_one_message_and_so_is_its_end() {
    let mut office = Office::new(vec![line("mail", Severity::Warning)]);
    office.show(&[("a", false), ("b", false)], 4);
    office.show(&[("a", false), ("b", false), ("c", false)], 1);
    assert_eq!(office.said(), NOTHING);
    office.show(&[("a", false), ("b", false), ("c", false)], 10);
    // The third was not down for long enough when the message went.
    assert_eq!(office.said(), ["mail Firing node_down 2", "mail Firing node_down 1"]);
    office.show(&[], 20);
    assert_eq!(office.said(), ["mail Resolved node_down 3"]);
}

#[test]
fn warnings_of_one_rule_keep_a_distance_and_critical_ones_do_not() {
    let mut office = Office::new(vec![line("mail", Severity::Warning)]);
    office.show(&[("a", true)], 10);
    office.show(&[("a", true), ("b", true)], 45);
    assert_eq!(office.said(), ["mail Firing node_down 1"]);
    office.show(&[("a", true), ("b", true)], 15);
    assert_eq!(office.said(), ["mail Firing node_down 1"]);
    office.show(&[("a", true), ("b", true), ("c", false)], 10);
    assert_eq!(office.said(), ["mail Firing node_down 1"]);
}

#[test]
fn a_channel_hears_what_matters_enough_and_again_when_it_matters_more() {
    let mut office = Office::new(vec![line("mail", Severity::Warning), line("sms", Severity::Critical)]);
    office.show(&[("a", true)], 10);
    assert_eq!(office.said(), ["mail Firing node_down 1"]);
    office.show(&[("a", false)], 10);
    assert_eq!(office.said(), ["mail Firing node_down 1", "sms Firing node_down 1"]);
    office.show(&[], 20);
    assert_eq!(office.said(), ["mail Resolved node_down 1", "sms Resolved node_down 1"]);
}

#[test]
fn what_goes_on_is_told_again_and_what_is_good_to_know_is_not() {
    let mut office = Office::new(vec![line("mail", Severity::Info)]);
    office.show(&[("a", false)], 10);
    let first = office.sent[0].id.clone();
    office.show(&[("a", false)], 10 * 60);
    assert_eq!(office.sent[1].items[0].thread.as_ref(), Some(&first), "a repetition answers the beginning");
    assert_eq!(office.said(), ["mail Firing node_down 1", "mail Firing node_down 1"]);
    office.show(&[], 20);
    office.said();
    office.orders.rules.of_mut(Rule::NodeDown).severity = Some(Severity::Info);
    office.replace();
    office.show(&[("b", false)], 30 * 60);
    assert_eq!(office.said(), ["mail Firing node_down 1"]);
}

#[test]
fn nobody_is_told_what_is_silenced_but_of_the_end_of_what_was_told() {
    let mut office = Office::new(vec![line("mail", Severity::Warning)]);
    office.show(&[("a", false)], 10);
    office.said();
    let silence = |node: &str, until| Silence { node: Some(node.into()), until, ..Silence::default() };
    office.orders.silences = vec![silence("*", office.now + 60 * SECOND)];
    office.replace();
    office.show(&[("a", false), ("b", false)], 20);
    assert_eq!(office.said(), NOTHING);
    assert!(office.desk.alerts()["node_down/b"].silenced_until.is_some());
    office.show(&[("b", false)], 20);
    assert_eq!(office.said(), ["mail Resolved node_down 1"]);
    office.show(&[("b", false)], 25);
    assert_eq!(office.said(), ["mail Firing node_down 1"]);
}

#[test]
fn a_channel_that_wants_no_ends_hears_of_the_next_beginning() {
    let mut office = Office::new(vec![Line { resolved: false, ..line("sms", Severity::Warning) }]);
    for _ in 0..3 {
        office.show(&[("a", false)], 10);
        assert_eq!(office.said(), ["sms Firing node_down 1"]);
        office.show(&[], 120);
        assert_eq!(office.said(), NOTHING);
    }
}

#[test]
fn what_lasts_shorter_than_it_takes_to_group_is_not_told() {
    let mut office = Office::new(vec![line("mail", Severity::Warning)]);
    office.show(&[("a", false)], 5);
    office.show(&[], 60);
    assert_eq!(office.said(), NOTHING);
}

#[test]
fn without_a_ledger_nothing_waits_to_be_written_down() {
    let mut office = Office::new(vec![line("mail", Severity::Warning)]);
    let mut desk = Desk::new("i", Arc::new(office.orders.clone())).without_ledger();
    let mut said = 0;
    for second in 0..2 * 3600 {
        office.now += SECOND;
        let source = Source { node: "m".into(), leader: true, at: Some(office.now), ..Source::default() };
        let mut cluster = ClusterState { source, ..ClusterState::default() };
        // Another node each minute.
        if second % 60 < 20 {
            let name = format!("n{}", second / 60);
            cluster.nodes.insert(name, Node { state: NodeState::Down, ..Node::default() });
        }
        desk.observe(&cluster, office.now);
        for job in desk.next(office.now) {
            if let Some(notice) = desk.claimed(&job, Err(()), office.now) {
                desk.sent(&notice, Ok(()), office.now);
                said += 1;
            }
        }
        assert!(!desk.is_ahead());
    }
    assert_eq!(said, 240);
    // Ends are remembered for an hour.
    assert!(desk.lines["mail"].remembers() <= 61, "{}", desk.lines["mail"].remembers());
}
