//! Step 7: new versions and other numbers of replicas, under load.

use tests::swarm::checker::{Happened, Seen};

use super::edges::nobody_failed;
use crate::Length;
use crate::journey::Journey;

/// Both kinds of visitors of the edges see no failure that is web's: who has a single edge is without it while that one
/// is replaced, but no edge ever answers that there is no replica.
fn web_never_failed(seen: &Seen) {
    let answers: Vec<_> = seen
        .by_dns
        .iter()
        .chain(&seen.one_address)
        .filter(|hit| matches!(&hit.outcome, tests::chaos::history::Outcome::Unknown(why) if why.starts_with('5')))
        .collect();
    assert!(answers.is_empty(), "{answers:?}");
}

/// The page's upgrade, of web and of the edges at once, and the way back.
pub(crate) async fn version(journey: &mut Journey) {
    journey.block("upgrade-build").await;
    journey.block("upgrade-pull").await;
    for (block, what) in [("upgrade", "all updated to version 2"), ("roll-back", "all back to version 1")] {
        let Journey { cluster, page, checker, .. } = journey;
        let Some(checker) = checker else { return };
        let seen = checker
            .round(cluster, "version changed", async |cluster| {
                page.run(cluster, block).await.unwrap_or_else(|error| panic!("{block}: {error}"));
                Happened::of(what)
            })
            .await;
        nobody_failed(&seen);
        web_never_failed(&seen);
    }
}

/// An image without our program: a mistake in `stack.env`.
pub(crate) async fn bad_version(journey: &mut Journey) {
    let Journey { cluster, checker, .. } = journey;
    let Some(checker) = checker else { return };
    let before = image_of_web(journey_images(cluster).await);
    let seen = checker
        .round(cluster, "bad version", async |cluster| {
            let host = &cluster.hosts[0];
            // Of a role that is not there: it starts, and ends at once.
            let bad = "docker service update --quiet --detach --args /nothing stackdemo_web";
            host.run(bad).await.expect("an update begins");
            let failed = host.run("deploy/wait.sh").await.expect_err("the update does not succeed");
            assert!(failed.output.contains("rollback_completed"), "{failed}");
            Happened::of("web updated to what does not start")
        })
        .await;
    nobody_failed(&seen);
    web_never_failed(&seen);
    let after = image_of_web(journey_images(cluster).await);
    assert_eq!(before, after);
}

async fn journey_images(cluster: &tests::swarm::cluster::Cluster) -> Vec<serde_json::Value> {
    cluster.ask("/services").await.expect("a manager tells its services")
}

/// What web runs, image and command.
fn image_of_web(services: Vec<serde_json::Value>) -> Option<serde_json::Value> {
    let web = services.into_iter().find(|service| service["Spec"]["Name"] == "stackdemo_web")?;
    Some(web["Spec"]["TaskTemplate"]["ContainerSpec"].clone())
}

/// The page's way to a new image of Redis.
pub(crate) async fn redis(journey: &mut Journey) {
    let Journey { cluster, page, checker, .. } = journey;
    let Some(checker) = checker else { return };
    checker
        .round(cluster, "redis updated", async |cluster| {
            page.run(cluster, "redis").await.unwrap_or_else(|error| panic!("redis: {error}"));
            Happened::of("each Redis replaced")
        })
        .await;
}

/// As many as the machine can bear, and as few as there may be.
pub(crate) async fn scale(journey: &mut Journey) {
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
                Happened::of(&format!("web scaled to {replicas}"))
            })
            .await;
        nobody_failed(&seen);
        web_never_failed(&seen);
    }
}
