//! The heartbeat to a monitor outside the swarm.

use std::sync::Arc;
use std::time::Duration;

use tests::receiver::{Answer, Receiver};
use tests::wait::{SOON, eventually, throughout};
use tokio::sync::watch as latest;
use watch::alert::{start, time};
use watch::cluster_state::{ClusterState, Source};

use super::Files;

fn cluster(leader: bool, error: Option<&str>) -> Arc<ClusterState> {
    let source =
        Source { node: "n1".into(), leader, at: Some(time::now()), error: error.map(Into::into), ..Source::default() };
    let mut cluster = ClusterState { source, ..ClusterState::default() };
    // Another manager is the leader.
    let node = watch::cluster_state::Node {
        role: watch::cluster_state::NodeRole::Manager,
        leader: true,
        ..Default::default()
    };
    cluster.nodes.insert("n2".into(), node);
    Arc::new(cluster)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_leaders_instance_sends_heartbeats_and_only_while_its_engine_answers() {
    let receiver = Receiver::start().await;
    let path = "/ping/secret-token";
    let text = format!("[heartbeat]\nurl = \"{}\"\ninterval = \"1s\"\nmethod = \"POST\"", receiver.url(path));
    let (states, receiving) = latest::channel(cluster(true, None));
    let running = start(Files::new().settings(&text), receiving, None).unwrap();
    let beats = || receiver.received(path).len();
    assert_eq!(receiver.wait_for(path, 2).await[0].method, "POST");

    for other in [cluster(false, None), cluster(true, Some("no quorum"))] {
        states.send_replace(other);
        // One heartbeat may be in flight. A second one would arrive within this time.
        let before = beats();
        throughout("no heartbeat", Duration::from_millis(2500), async || beats() <= before + 1).await;
    }
    states.send_replace(cluster(true, None));
    let before = beats();
    receiver.answer(path, Answer::status(500));
    eventually("another heartbeat", SOON, async || beats() > before + 1).await;
    running.stop(Duration::from_secs(5)).await;
}
