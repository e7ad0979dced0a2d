//! Step 6: which alerts the operator gets, and how often.
//!
//! Only messages about the event of the step are counted. The hosts share the machine's disk, for example, so a disk
//! that is nearly full is reported as well. Such messages are printed.

use std::time::{Duration, SystemTime};

use tests::swarm::checker::Event;
use tests::swarm::inboxes::Inboxes;
use tests::swarm::messages::Message;
use tests::wait::{SOON, eventually};

use crate::journey::Journey;

/// The time limit for an alert about a node. On an idle machine it takes less than half a minute.
const ALERTED: Duration = Duration::from_secs(120);

/// Opens the page of watch on every node, and sends one test message through each channel.
pub(crate) async fn set_up(journey: &mut Journey) {
    journey.block("page").await;
    let inboxes = Inboxes::start().await.expect("a mail server and an SMS service");
    inboxes.settings(&journey.cluster.hosts[0]).expect("a writable folder");
    let Journey { cluster, page, checker, .. } = journey;
    let Some(checker) = checker else { return };
    checker
        .round(cluster, "alerts set up", async |cluster| {
            page.run(cluster, "alerts").await.unwrap_or_else(|error| panic!("alerts: {error}"));
            Event::new("alerts set up")
        })
        .await;
    let tests = || count(&inboxes, Message::is_test);
    eventually("the test's mail and SMS", SOON, async || tests().iter().all(|count| *count > 0)).await;
    assert_eq!(tests(), [1, 1], "one of each: {:#?}", all(&inboxes));
    print_others(&inboxes, SystemTime::UNIX_EPOCH, Message::is_test);
    journey.inboxes = Some(inboxes);
}

/// The alerts about one node, counted from a moment on.
pub(crate) struct NodeAlerts<'a> {
    inboxes: &'a Inboxes,
    node: String,
    since: SystemTime,
    before: Counts,
}

/// The numbers of mails and SMS that report that a node is down, and that it is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    down: [usize; 2],
    back: [usize; 2],
}

impl<'a> NodeAlerts<'a> {
    /// Starts counting the alerts about `node`.
    pub(crate) fn start(inboxes: &'a Inboxes, node: &str) -> Self {
        let before = Counts::of(inboxes, node);
        Self { inboxes, node: node.to_owned(), since: SystemTime::now(), before }
    }

    /// Waits for the alert that the node is back, and asserts that each message was sent once. Prints messages about
    /// anything else.
    pub(crate) async fn assert_once(&self) {
        let Self { inboxes, node, since, before } = self;
        let one_more = |counts: [usize; 2]| counts.map(|count| count + 1);
        let expected = Counts { down: one_more(before.down), back: one_more(before.back) };
        eventually(&format!("an alert that {node} is back"), ALERTED, async || {
            Counts::of(inboxes, node).back.iter().zip(expected.back).all(|(now, wanted)| *now >= wanted)
        })
        .await;
        assert_eq!(Counts::of(inboxes, node), expected, "alerts about {node}: {:#?}", all(inboxes));
        print_others(inboxes, *since, |message| message.reports_down(node) || message.reports_back(node));
    }

    /// Returns the time until both a mail and an SMS reported that the node is down.
    pub(crate) fn down_after(&self) -> Option<Duration> {
        let first = all(self.inboxes).map(|messages| {
            let reports = messages.into_iter().filter(|message| message.reports_down(&self.node));
            reports.map(|message| message.at).filter(|at| *at >= self.since).min()
        });
        let [mail, sms] = first;
        mail?.max(sms?).duration_since(self.since).ok()
    }
}

impl Counts {
    fn of(inboxes: &Inboxes, node: &str) -> Self {
        Self {
            down: count(inboxes, |message| message.reports_down(node)),
            back: count(inboxes, |message| message.reports_back(node)),
        }
    }
}

/// Returns the mails and the SMS received so far.
fn all(inboxes: &Inboxes) -> [Vec<Message>; 2] {
    [inboxes.mails(), inboxes.sms()]
}

/// Counts the mails and the SMS that `is_counted` accepts.
fn count(inboxes: &Inboxes, is_counted: impl Fn(&Message) -> bool) -> [usize; 2] {
    all(inboxes).map(|messages| messages.iter().filter(|message| is_counted(message)).count())
}

/// Prints the messages since a moment that were not counted.
fn print_others(inboxes: &Inboxes, since: SystemTime, is_counted: impl Fn(&Message) -> bool) {
    for message in all(inboxes).concat() {
        if message.at >= since && !is_counted(&message) {
            println!("\n    another message: {}", message.text);
        }
    }
}
