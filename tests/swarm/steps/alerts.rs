//! Which alerts the operator gets, and how many.

use std::time::{Duration, SystemTime};

use tests::swarm::checker::Event;
use tests::swarm::inboxes::Inboxes;
use tests::wait::{SOON, eventually};

use crate::journey::Journey;

/// The time limit for an alert about a node. On an idle machine it takes less than half a minute.
const ALERTED: Duration = Duration::from_secs(120);

/// The page of watch on every node, and one message through each channel.
pub(crate) async fn are_set_up(journey: &mut Journey) {
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
    eventually("the test's mail and SMS", SOON, async || !inboxes.mails().is_empty() && !inboxes.texts().is_empty())
        .await;
    assert_eq!((inboxes.mails().len(), inboxes.texts().len()), (1, 1), "one of each");
    journey.inboxes = Some(inboxes);
}

/// The alerts about a node so far: the numbers of mails and SMS that it is down, and that it is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    down: [usize; 2],
    back: [usize; 2],
}

/// Counts the alerts about `node` so far.
pub(crate) fn counts(inboxes: &Inboxes, node: &str) -> Counts {
    let both = |over| messages(inboxes).map(|all| all.iter().filter(|(_, text)| about(text, node, over)).count());
    Counts { down: both(false), back: both(true) }
}

/// The time from `moment` until both a mail and an SMS reported that `node` is down.
pub(crate) fn down_after(inboxes: &Inboxes, node: &str, moment: SystemTime) -> Option<Duration> {
    let first = messages(inboxes).map(|all| {
        let since = all.into_iter().filter(|(at, text)| *at >= moment && about(text, node, false));
        since.map(|(at, _)| at).min()
    });
    let [mail, text] = first;
    mail?.max(text?).duration_since(moment).ok()
}

/// The mails and the SMS so far, each with its time and text.
fn messages(inboxes: &Inboxes) -> [Vec<(SystemTime, String)>; 2] {
    let mails = inboxes.mails().into_iter().filter_map(|mail| Some((mail.at, mail.field("subject")?)));
    let texts = inboxes.texts().into_iter().map(|text| (text.at, text.body.replace('+', " ")));
    [mails.collect(), texts.collect()]
}

/// Whether a message says that `node` is down or, if `over`, that it no longer is.
fn about(text: &str, node: &str, over: bool) -> bool {
    // The message about the end of an alert repeats its text.
    text.contains(node) && text.contains("is down") && text.contains("RESOLVED") == over
}

impl Counts {
    /// Waits for the alert that the node is back, and asserts that each message came once.
    pub(crate) async fn once_since(self, inboxes: &Inboxes, node: &str) {
        let expected = Counts { down: self.down.map(|count| count + 1), back: self.back.map(|count| count + 1) };
        eventually(
            &format!("an alert that {node} is back: {expected:?}, {:?}", counts(inboxes, node)),
            ALERTED,
            async || counts(inboxes, node).back.iter().zip(expected.back).all(|(now, wanted)| *now >= wanted),
        )
        .await;
        let all: Vec<Option<String>> = inboxes.mails().iter().map(|mail| mail.field("subject")).collect();
        assert_eq!(counts(inboxes, node), expected, "{all:#?}");
    }
}
