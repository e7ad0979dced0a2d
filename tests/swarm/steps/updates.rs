//! Step 7: new versions and changed numbers of replicas, under load.

use std::time::Duration;

use serde_json::{Value, json};
use tests::swarm::checker::{Checker, Event, Observations};
use tests::swarm::cluster::Cluster;

use super::edges::assert_no_visit_failed;
use crate::Length;
use crate::journey::Journey;

/// The time limit for an update or a rollback.
const UPDATE: Duration = Duration::from_secs(300);

/// Asserts that no edge ever lacked a replica. Visitors with one edge fail while that edge is replaced, but never with
/// a status of 500 or above.
fn assert_web_never_failed(seen: &Observations) {
    let answers: Vec<_> = seen
        .by_edges()
        .filter(|hit| matches!(&hit.outcome, tests::chaos::history::Outcome::Unknown(why) if why.starts_with('5')))
        .collect();
    assert!(answers.is_empty(), "{answers:?}");
}

/// Updates web alone, without any effect on visitors (not in a short journey, where the next update includes it); then
/// upgrades everything by the page's commands, edges included, and rolls it back.
pub(crate) async fn upgrade(journey: &mut Journey) {
    journey.block("upgrade-build").await;
    journey.block("upgrade-pull").await;
    let Journey { cluster, page, checker, length, .. } = journey;
    let Some(checker) = checker else { return };
    if *length == Length::Full {
        let seen = checker
            .round(cluster, "web updated", async |cluster| {
                let web = "docker service update --quiet --image 127.0.0.1:5000/stackdemo:2 stackdemo_web";
                cluster.hosts[0].bash(web, &[], UPDATE).await.expect("an update");
                Event::new("web alone updated to version 2")
            })
            .await;
        seen.assert_all_counted();
    }
    replace_edges(cluster, checker).await;
    for (block, what) in [("upgrade", "all updated to version 2"), ("roll-back", "all back to version 1")] {
        let seen = checker
            .round(cluster, "version changed", async |cluster| {
                page.run(cluster, block).await.unwrap_or_else(|error| panic!("{block}: {error}"));
                Event::new(what)
            })
            .await;
        assert_no_visit_failed(&seen);
        assert_web_never_failed(&seen);
    }
}

/// Replaces the edges alone, stop-first and one after the other. The row shows how long an address is without an edge.
async fn replace_edges(cluster: &mut Cluster, checker: &mut Checker) {
    let seen = checker
        .round(cluster, "edges replaced", async |cluster| {
            // Briefer pauses than those of stack.yml, which the next deployment sets again: they are not part of a gap.
            let update = "docker service update --quiet --force --update-delay 2s --update-monitor 1s stackdemo_edge";
            cluster.hosts[0].bash(update, &[], UPDATE).await.expect("an update");
            for host in &cluster.hosts {
                let parts = host.run(EDGE_TIMES).await.unwrap_or_else(|error| error.to_string());
                println!("\n    the newest edge, and the one before:\n{parts}");
            }
            Event::new("the edges alone replaced")
        })
        .await;
    assert_no_visit_failed(&seen);
    assert_web_never_failed(&seen);
}

/// Prints the start and the end of the last two edges of a host, and when they began and ceased to listen.
const EDGE_TIMES: &str = "for id in $(docker ps --all --quiet --last 2 --filter name=stackdemo_edge); do
    docker inspect --format '{{.State.StartedAt}} to {{.State.FinishedAt}}' \"$id\"
    docker logs --timestamps \"$id\" 2>&1 | grep -E 'listening|no more connections' | cut -c1-160
done";

/// A version with an empty image, without any program.
const BAD: &str = "127.0.0.1:5000/stackdemo:3";

/// Upgrades everything to that version: each service is rolled back, and the command reports it.
pub(crate) async fn upgrade_to_bad_version(journey: &mut Journey) {
    let Journey { cluster, checker, .. } = journey;
    let Some(checker) = checker else { return };
    let before = own_services(cluster).await;
    let make = format!("tar --create --files-from /dev/null | docker import - {BAD}; docker push --quiet {BAD}");
    cluster.hosts[0].run(&make).await.expect("a registry that takes it");
    let seen = checker
        .round(cluster, "bad version", async |cluster| {
            let host = &cluster.hosts[0];
            host.run("cp stack.env good.env").await.expect("a file");
            host.run(&format!("sed -i 's|^IMAGE=.*|IMAGE={BAD}|' stack.env")).await.expect("a file");
            let failed = host.bash("deploy/up.sh", &[], UPDATE).await.expect_err("no task becomes healthy");
            assert!(failed.output.contains("rollback_completed"), "{failed}");
            cluster.until("all are rolled back", UPDATE, async || not_rolled_back(cluster).await).await;
            let now = own_services(cluster).await;
            assert_eq!(before, now);
            // The page advises this.
            host.run("mv good.env stack.env").await.expect("a file");
            host.bash("deploy/up.sh", &[], UPDATE).await.expect("a stack as it was");
            Event::new("all updated to a version that does not start")
        })
        .await;
    assert_no_visit_failed(&seen);
    assert_web_never_failed(&seen);
}

/// The services that run our image.
const OURS: [&str; 3] = ["edge", "watch", "web"];

fn is_ours(service: &Value) -> bool {
    let name = service["Spec"]["Name"].as_str().unwrap_or_default();
    name.strip_prefix("stackdemo_").is_some_and(|name| OURS.contains(&name))
}

/// Returns the name, image and command of each.
async fn own_services(cluster: &Cluster) -> Vec<Value> {
    let services = cluster.ask("/services").await.expect("a manager lists its services");
    let ours = services.iter().filter(|service| is_ours(service));
    ours.map(|service| {
        let container = &service["Spec"]["TaskTemplate"]["ContainerSpec"];
        json!([service["Spec"]["Name"], container["Image"], container["Args"], container["Command"]])
    })
    .collect()
}

/// Describes the first service that is not rolled back yet.
async fn not_rolled_back(cluster: &Cluster) -> Option<String> {
    let Ok(services) = cluster.ask("/services").await else { return Some("no engine responds".to_owned()) };
    let busy =
        services.iter().find(|service| is_ours(service) && service["UpdateStatus"]["State"] != "rollback_completed")?;
    Some(format!("{}: {}", busy["Spec"]["Name"], busy["UpdateStatus"]))
}

/// Replaces the Redis servers by the page's commands; in a short journey one server only.
pub(crate) async fn replace_redis(journey: &mut Journey) {
    let Journey { cluster, page, checker, length, .. } = journey;
    let Some(checker) = checker else { return };
    let some = if *length == Length::Full { "1 2 3" } else { "1" };
    checker
        .round(cluster, "redis updated", async |cluster| {
            page.run_with(cluster, "redis", "1 2 3", some).await.unwrap_or_else(|error| panic!("redis: {error}"));
            Event::new(&format!("Redis {some} replaced"))
        })
        .await;
}

/// Scales web to 12, 20, 2 and 6 replicas, in a short journey not to 20.
pub(crate) async fn scale_web(journey: &mut Journey) {
    for (replicas, block) in [(12, Some("scale")), (20, None), (2, None), (6, None)] {
        let Journey { cluster, page, checker, length, .. } = journey;
        if replicas == 20 && *length == Length::Short {
            continue;
        }
        let Some(checker) = checker else { return };
        let seen = checker
            .round(cluster, "scaled", async |cluster| {
                let scaled = match block {
                    Some(block) => page.run(cluster, block).await.map(drop),
                    None => {
                        cluster.hosts[0].run(&format!("docker service scale stackdemo_web={replicas}")).await.map(drop)
                    }
                };
                scaled.unwrap_or_else(|error| panic!("{error}"));
                Event::new(&format!("web scaled to {replicas}"))
            })
            .await;
        seen.assert_all_counted();
    }
}
