//! Step 6: machines lose power, are drained, and come back.

use std::time::{Duration, Instant};

use tests::swarm::checker::Event;
use tests::swarm::cluster::Cluster;
use tests::wait::pause;

use super::alerts::NodeAlerts;
use super::edges::{RUN, assert_no_visit_failed};
use crate::Length;
use crate::journey::Journey;

/// The time limit for the swarm to notice a lost machine and start its replicas elsewhere. It waits 15 s for a
/// heartbeat, or 40 s if the leader is lost.
const ELSEWHERE: Duration = Duration::from_secs(150);

/// How long the visitors run before a machine dies, to compare with.
const NORMAL: Duration = Duration::from_secs(8);

/// The longest outage for visitors by DNS when the master is lost. The sentinels need about 5 s to promote a replica,
/// and more than twice as long when the first vote is split.
const NEW_MASTER: Duration = Duration::from_secs(30);

/// The longest outage for visitors by DNS when another machine is lost: an edge has to find another replica, or a
/// client another edge.
const NEXT_ADDRESS: Duration = Duration::from_secs(10);

/// Cuts the power of each machine once: first the one with the Redis master, then the leader; in a short journey no
/// other.
pub(crate) async fn lose_power(journey: &mut Journey) {
    let Journey { cluster, page, checker, inboxes, length, trust, .. } = journey;
    let Some(checker) = checker else { return };
    let mut left: Vec<usize> = (0..cluster.hosts.len()).collect();
    let (mut masters, mut leaders) = (0, 0);
    while !left.is_empty() && (*length == Length::Full || masters == 0 || leaders == 0) {
        let (master, leader) = (cluster.store.master(&cluster.hosts).await, cluster.leader().await);
        let wanted = if masters == 0 { [master, leader] } else { [leader, master] };
        let victim = wanted.into_iter().flatten().find(|host| left.contains(host)).unwrap_or(left[0]);
        left.retain(|host| *host != victim);
        let name = cluster.hosts[victim].name.clone();
        let alerts = inboxes.as_ref().map(|inboxes| NodeAlerts::start(inboxes, &name));
        let mut what = format!("{name} loses power");
        if leader == Some(victim) {
            leaders += 1;
            what += " (leader)";
        }
        if master == Some(victim) {
            masters += 1;
            what += " (Redis master)";
        }
        let seen = checker
            .round(cluster, "power lost", async |cluster| {
                // A normal time to compare with.
                pause(NORMAL).await;
                let began = Instant::now();
                cluster.hosts[victim].kill().await.expect("a power switch");
                replicas_run(cluster, cluster.hosts.len() - 1).await;
                let elsewhere = Some(began.elapsed());
                let dead = Some(began..Instant::now());
                // The page runs the command on the first host.
                if let (Some(trust), 1..) = (trust.as_ref(), victim) {
                    let address = cluster.hosts[victim].address.to_string();
                    let failure = page.run_with(cluster, "dns", RUN, trust).await.expect_err("an edge is down");
                    assert!(failure.output.contains(&format!("{address}:80")), "{failure}");
                }
                cluster.hosts[victim].start().await.expect("a host starts");
                Event { elsewhere, dead, ..Event::new(&what) }
            })
            .await;
        if master == Some(victim) {
            assert!(seen.promotions > 0, "no replica was promoted");
            assert!(seen.outage < NEW_MASTER, "{:?}", seen.outage);
        } else {
            assert_no_visit_failed(&seen);
            assert!(seen.outage < NEXT_ADDRESS, "{:?}", seen.outage);
        }
        // The machine is in use again: the round has waited for its Redis, sentinel and edge, which run nowhere else.
        let edge = cluster.addresses(80)[victim];
        assert!(tests::client::get(edge, "/").await.is_ok_and(|reply| reply.status == 200), "{edge}");
        if let Some(alerts) = alerts {
            alerts.assert_once().await;
            checker.table.set_alerted(alerts.down_after());
        }
    }
    assert!(masters > 0 && leaders > 0, "{masters} masters and {leaders} leaders");
}

/// Waits until all replicas of web run on `nodes` nodes that the swarm can reach.
async fn replicas_run(cluster: &Cluster, nodes: usize) {
    cluster
        .until("web runs elsewhere", ELSEWHERE, async || {
            let (Ok(nodes_found), Ok(tasks), Ok(services)) =
                (cluster.ask("/nodes").await, cluster.ask("/tasks").await, cluster.ask("/services").await)
            else {
                return Some("no engine responds".to_owned());
            };
            let ready: Vec<_> = nodes_found.iter().filter(|node| node["Status"]["State"] == "ready").collect();
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

/// Drains each machine with the page's commands, reboots it, and reactivates it; in a short journey only the one with
/// the Redis master.
pub(crate) async fn drain(journey: &mut Journey) {
    let Journey { cluster, page, checker, length, .. } = journey;
    let Some(checker) = checker else { return };
    // The page drains the second host.
    const DRAINED: &str = "serveur18";
    let master = cluster.store.master(&cluster.hosts).await.expect("a master");
    let victims = if *length == Length::Full { vec![1, 2, 0] } else { vec![master] };
    for victim in victims {
        let name = cluster.hosts[victim].name.clone();
        checker
            .round(cluster, "drained", async |cluster| {
                page.run_with(cluster, "drain", DRAINED, &name).await.unwrap_or_else(|error| panic!("{error}"));
                page.run_with(cluster, "drained", DRAINED, &name).await.unwrap_or_else(|error| panic!("{error}"));
                cluster.hosts[victim].shut_down().await.expect("a host ends");
                cluster.hosts[victim].start().await.expect("a host starts");
                page.run_with(cluster, "return", DRAINED, &name).await.unwrap_or_else(|error| panic!("{error}"));
                Event::new(&format!("{name} drained, rebooted, reactivated"))
            })
            .await;
        assert!(!cluster.hosts[victim].networks_of("web").await.is_empty(), "no replica runs on {name} again");
    }
}
