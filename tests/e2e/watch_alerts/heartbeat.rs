//! The word to somebody outside that all is well.

use std::sync::Arc;
use std::time::Duration;

use tests::receiver::{Answer, Receiver};
use tests::wait::{eventually, throughout};
use tokio::sync::watch as latest;
use watch::alert::{start, time};
use watch::cluster_state::{ClusterState, Source};

use super::Files;

fn cluster(leader: bool, error: Option<&str>) -> Arc<ClusterState> {
    let source =
        Source { node: "n1".into(), leader, at: Some(time::now()), error: error.map(Into::into), ..Source::default() };
    let mut cluster = ClusterState { source, ..ClusterState::default() };
    // Somebody else who leads.
    let node = watch::cluster_state::Node {
        role: watch::cluster_state::NodeRole::Manager,
        leader: true,
        ..Default::default()
    };
    cluster.nodes.insert("n2".into(), node);
    Arc::new(cluster)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_leaders_instance_beats_and_only_while_its_engine_answers() {
    let receiver = Receiver::start().await;
    let path = "/ping/secret-token";
    let text = format!("[heartbeat]\nurl = \"{}\"\ninterval = \"1s\"\nmethod = \"POST\"", receiver.url(path));
    let (states, receiving) = latest::channel(cluster(true, None));
    let running = start(Files::new().settings(&text), receiving, None).unwrap();
    let beats = || receiver.received(path).len();
    assert_eq!(receiver.taken(path, 2).await[0].method, "POST");

    for other in [cluster(false, None), cluster(true, Some("no quorum"))] {
        states.send_replace(other);
        // One may be under way, and two would be heard meanwhile.
        let before = beats();
        throughout("silence", Duration::from_millis(2500), async || beats() <= before + 1).await;
    }
    states.send_replace(cluster(true, None));
    let before = beats();
    receiver.answer(path, Answer::status(500));
    eventually("another beat", Duration::from_secs(10), async || beats() > before + 1).await;
    running.stop(Duration::from_secs(5)).await;
}
