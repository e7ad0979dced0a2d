//! Step 8: a node that runs on in isolation.

use std::collections::BTreeSet;
use std::time::Duration;

use tests::client::get;
use tests::swarm::checker::Happened;
use tests::wait::pause;

use super::deploy::served_by;
use crate::journey::Journey;

/// How long the node is isolated.
const CUT: Duration = Duration::from_secs(20);

/// How long a visit to it waits.
const ANSWER: Duration = Duration::from_secs(3);

/// The node with the Redis master is cut off from the two others, and clients reach all three.
pub(crate) async fn cut(journey: &mut Journey) {
    let Journey { cluster, checker, .. } = journey;
    let Some(checker) = checker else { return };
    let alone = cluster.store.master(&cluster.hosts).await.expect("a master");
    let name = cluster.hosts[alone].name.clone();
    let others: Vec<_> = cluster.hosts.iter().filter(|host| host.name != name).map(|host| host.address).collect();
    let seen = checker
        .round(cluster, "cut off", async |cluster| {
            cluster.hosts[alone].cut_off_from(&others).await.expect("a firewall");
            pause(CUT).await;
            // The isolated master returns no number, whichever way a visit reaches it.
            let asked = tokio::time::timeout(ANSWER, get((cluster.hosts[alone].address, 8000).into(), "/")).await;
            assert!(!matches!(&asked, Ok(Ok(reply)) if reply.status == 200), "{asked:?}");
            cluster.hosts[alone].join_again(&others).await.expect("a firewall");
            Happened::of(&format!("{name} (Redis master) cut off for 20 s"))
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
