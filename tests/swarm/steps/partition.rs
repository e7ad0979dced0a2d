//! Step 8: a node that keeps running in isolation.

use std::collections::BTreeSet;
use std::time::Duration;

use tests::client::get;
use tests::swarm::checker::Event;
use tests::wait::pause;

use super::deploy::served_by;
use crate::journey::Journey;

/// How long the node stays isolated.
const CUT: Duration = Duration::from_secs(20);

/// The time limit for a visit to it.
const ANSWER: Duration = Duration::from_secs(3);

/// Cuts the node with the Redis master off from the other two, while clients reach all three.
pub(crate) async fn isolate(journey: &mut Journey) {
    let Journey { cluster, checker, .. } = journey;
    let Some(checker) = checker else { return };
    let alone = cluster.store.master(&cluster.hosts).await.expect("a master");
    let name = cluster.hosts[alone].name.clone();
    let others: Vec<_> = cluster.hosts.iter().filter(|host| host.name != name).map(|host| host.address).collect();
    let seen = checker
        .round(cluster, "cut off", async |cluster| {
            cluster.hosts[alone].cut_off_from(&others).await.expect("a firewall");
            pause(CUT).await;
            // A visit that reaches the isolated master gets no number.
            let asked = tokio::time::timeout(ANSWER, get((cluster.hosts[alone].address, 8000).into(), "/")).await;
            assert!(!matches!(&asked, Ok(Ok(reply)) if reply.status == 200), "{asked:?}");
            cluster.hosts[alone].reconnect_to(&others).await.expect("a firewall");
            Event::new(&format!("{name} (Redis master) cut off for 20 s"))
        })
        .await;
    assert!(seen.promotions > 0, "the others have not promoted a master");
    assert!(seen.outage < CUT, "{:?}: the others have not continued counting", seen.outage);
    // Every edge finds the replicas of all nodes again.
    let mut nodes = BTreeSet::new();
    for host in &cluster.hosts {
        if !host.networks_of("web").await.is_empty() {
            nodes.insert(host.name.clone());
        }
    }
    for edge in cluster.addresses(80) {
        assert_eq!(served_by(edge, &nodes).await, nodes, "through {edge}");
    }
}
