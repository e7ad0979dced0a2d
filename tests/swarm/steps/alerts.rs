//! What watch tells the operator, and how often.

use std::time::Duration;

use tests::swarm::checker::Happened;
use tests::swarm::post::Post;
use tests::wait::{SOON, eventually};

use crate::journey::Journey;

/// How long a word about a node may take to come. On an idle machine it comes within half a minute.
const TOLD: Duration = Duration::from_secs(120);

/// The page of watch on every node, and one message through each channel.
pub(crate) async fn are_set_up(journey: &mut Journey) {
    journey.block("page").await;
    let post = Post::start().await.expect("a mail server and an SMS service");
    post.settings(&journey.cluster.hosts[0]).expect("a writable folder");
    let Journey { cluster, page, checker, .. } = journey;
    let Some(checker) = checker else { return };
    checker
        .round(cluster, "alerts set up", async |cluster| {
            page.run(cluster, "alerts").await.unwrap_or_else(|error| panic!("alerts: {error}"));
            Happened::of("alerts set up")
        })
        .await;
    eventually("the test's mail and SMS", SOON, async || !post.mails().is_empty() && !post.texts().is_empty()).await;
    assert_eq!((post.mails().len(), post.texts().len()), (1, 1), "one of each");
    journey.post = Some(post);
}

/// What has been told of a node since `since`: how many mails and SMS that it is down, and that it is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    down: [usize; 2],
    back: [usize; 2],
}

/// Everything that was told so far, to count on from.
pub(crate) fn told(post: &Post, node: &str) -> Told {
    let mails: Vec<String> = post.mails().iter().filter_map(|mail| mail.field("subject")).collect();
    let texts: Vec<String> = post.texts().into_iter().map(|text| text.body.replace('+', " ")).collect();
    // The end of an alert repeats what it was.
    let count = |all: &[String], over: bool| {
        let about =
            |text: &&String| text.contains(node) && text.contains("is down") && text.contains("RESOLVED") == over;
        all.iter().filter(about).count()
    };
    let both = |over| [count(&mails, over), count(&texts, over)];
    Told { down: both(false), back: both(true) }
}

impl Told {
    /// Waits until it was told that the node is back, and sees that each message came once.
    pub(crate) async fn once_since(self, post: &Post, node: &str) {
        let expected = Told { down: self.down.map(|count| count + 1), back: self.back.map(|count| count + 1) };
        eventually(&format!("a word that {node} is back: {expected:?}, {:?}", told(post, node)), TOLD, async || {
            told(post, node).back.iter().zip(expected.back).all(|(now, wanted)| *now >= wanted)
        })
        .await;
        let all: Vec<Option<String>> = post.mails().iter().map(|mail| mail.field("subject")).collect();
        assert_eq!(told(post, node), expected, "{all:#?}");
    }
}
