//! Step 6: every machine goes, abruptly and in order, and comes back.

use std::time::{Duration, Instant, SystemTime};

use tests::swarm::checker::Happened;
use tests::swarm::cluster::Cluster;

use super::alerts::{down_after, told};
use crate::Length;
use crate::journey::Journey;

/// How long the swarm may take to see that a machine is gone and to start its replicas elsewhere. It waits 15 s for a
/// sign of life, or 40 s when the leader went.
const ELSEWHERE: Duration = Duration::from_secs(150);

/// Power is taken away from each of them once: first from the one with the Redis master, then from the leader. A short
/// journey is content with these.
pub(crate) async fn lose_power(journey: &mut Journey) {
    let Journey { cluster, checker, post, length, .. } = journey;
    let Some(checker) = checker else { return };
    let mut left: Vec<usize> = (0..cluster.hosts.len()).collect();
    let (mut masters, mut leaders) = (0, 0);
    while !left.is_empty() && (*length == Length::Full || masters == 0 || leaders == 0) {
        let (master, leader) = (cluster.store.master(&cluster.hosts).await, cluster.leader().await);
        let wanted = if masters == 0 { [master, leader] } else { [leader, master] };
        let victim = wanted.into_iter().flatten().find(|host| left.contains(host)).unwrap_or(left[0]);
        left.retain(|host| *host != victim);
        let name = cluster.hosts[victim].name.clone();
        let before = post.as_ref().map(|post| told(post, &name));
        let mut what = format!("{name} loses power");
        if leader == Some(victim) {
            leaders += 1;
            what += " (leader)";
        }
        if master == Some(victim) {
            masters += 1;
            what += " (Redis master)";
        }
        let moment = SystemTime::now();
        checker
            .round(cluster, "power lost", async |cluster| {
                let began = Instant::now();
                cluster.hosts[victim].kill().await.expect("a power switch");
                replicas_run(cluster, cluster.hosts.len() - 1).await;
                let elsewhere = Some(began.elapsed());
                cluster.hosts[victim].start().await.expect("a host starts");
                Happened { elsewhere, ..Happened::of(&what) }
            })
            .await;
        // All of it is used again: the round has waited for Redis, sentinel and edge, which run nowhere else.
        let edge = cluster.addresses(80)[victim];
        assert!(tests::client::get(edge, "/").await.is_ok_and(|reply| reply.status == 200), "{edge}");
        if let (Some(post), Some(before)) = (post.as_ref(), before) {
            before.once_since(post, &name).await;
            checker.table.told(down_after(post, &name, moment));
        }
    }
    assert!(masters > 0 && leaders > 0, "{masters} masters and {leaders} leaders");
}

/// Waits until all replicas of web run on `nodes` nodes that the swarm can reach.
async fn replicas_run(cluster: &Cluster, nodes: usize) {
    cluster
        .until("web runs elsewhere", ELSEWHERE, async || {
            let (Ok(found), Ok(tasks), Ok(services)) =
                (cluster.ask("/nodes").await, cluster.ask("/tasks").await, cluster.ask("/services").await)
            else {
                return Some("no engine can tell".to_owned());
            };
            let ready: Vec<_> = found.iter().filter(|node| node["Status"]["State"] == "ready").collect();
            let web = services.iter().find(|service| service["Spec"]["Name"] == "stackdemo_web")?;
            let running = tasks.iter().filter(|task| {
                task["ServiceID"] == web["ID"]
                    && task["DesiredState"] == "running"
                    && task["Status"]["State"] == "running"
                    && ready.iter().any(|node| node["ID"] == task["NodeID"])
            });
            let wanted = web["Spec"]["Mode"]["Replicated"]["Replicas"].as_u64().unwrap_or_default();
            let running = running.count() as u64;
            (ready.len() != nodes || running != wanted)
                .then(|| format!("{} nodes are ready, {running} of {wanted} replicas run there", ready.len()))
        })
        .await;
}

/// Each of them is drained by the page's commands, switched off, and taken back; on a short journey one of them.
pub(crate) async fn are_drained(journey: &mut Journey) {
    let Journey { cluster, page, checker, length, .. } = journey;
    let Some(checker) = checker else { return };
    // The page drains the second of them.
    const DRAINED: &str = "serveur18";
    let victims = if *length == Length::Full { &[1, 2, 0][..] } else { &[1] };
    for &victim in victims {
        let name = cluster.hosts[victim].name.clone();
        checker
            .round(cluster, "drained", async |cluster| {
                page.run_for(cluster, "drain", DRAINED, &name).await.unwrap_or_else(|error| panic!("{error}"));
                page.run_for(cluster, "drained", DRAINED, &name).await.unwrap_or_else(|error| panic!("{error}"));
                cluster.hosts[victim].shut_down().await.expect("a host ends");
                cluster.hosts[victim].start().await.expect("a host starts");
                page.run_for(cluster, "return", DRAINED, &name).await.unwrap_or_else(|error| panic!("{error}"));
                Happened::of(&format!("{name} drained, rebooted, taken back"))
            })
            .await;
    }
}
