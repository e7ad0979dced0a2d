//! Failovers that a sentinel alone would never begin, or would begin wrongly: deploy/sentinel.sh takes care of them.

use std::net::SocketAddr;
use std::time::Duration;

use tests::chaos::cluster::{Cluster, Counter};
use tests::chaos::judge::Limits;
use tests::chaos::network::Kind;
use tests::chaos::plan::{Fault, Return, Victim};
use tests::chaos::{LIMITS, check_faults};
use tests::client;
use tests::process::binary;
use tests::wait::{SOON, eventually, throughout};

use super::ALONE;

fn app() -> Counter {
    Counter { program: binary("app"), arguments: Vec::new() }
}

/// Returns the number that a visit got.
async fn visit(app: SocketAddr) -> Option<u64> {
    let reply = client::get(app, "/").await.ok()?;
    String::from_utf8_lossy(&reply.body).split(' ').find_map(|word| word.parse().ok())
}

/// Asserts that the app counts exactly through `faults`, the last of which causes a failover, and resumes in time.
async fn assert_fails_over(faults: Vec<Fault>, limits: Limits) {
    let _alone = ALONE.lock().await;
    let mut promotions = 0;
    let outcome = check_faults(app(), 1, faults, limits, |history| {
        promotions = history.rounds.last().map_or(0, |round| round.promotions);
        true
    })
    .await
    .unwrap();
    let report = outcome.report.clone();
    assert!(outcome.holds(), "{report}\nlogs and history: {}", outcome.keep().unwrap().display());
    assert_eq!(promotions, 1, "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_remaining_sentinels_may_stop_for_three_seconds_while_the_master_is_dead() {
    let fault = Fault::KillMasterHostStopSentinels(Duration::from_secs(3));
    assert_fails_over(vec![fault], LIMITS).await;
}

/// The replicas' links are then older than ten times down-after, which is Sentinel's limit.
#[tokio::test(flavor = "multi_thread")]
async fn complete_replicas_are_promoted_however_long_ago_they_lost_the_master() {
    let stopped = Duration::from_secs(12);
    let limits = Limits { outage: LIMITS.outage + stopped, ..LIMITS };
    assert_fails_over(vec![Fault::KillMasterHostStopSentinels(stopped)], limits).await;
}

/// By itself a sentinel would find nothing down until its clock has caught up.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_set_back_does_not_prevent_a_failover() {
    let step = Fault::StepClock(Victim::Replica(0), -100);
    assert_fails_over(vec![step, Fault::KillMasterHostStopSentinels(Duration::ZERO)], LIMITS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_may_lack_numbers_is_not_promoted() {
    let _alone = ALONE.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), app()).await.unwrap();
    let master = cluster.master().await.unwrap();
    let (behind, complete) =
        (Cluster::host_of(Victim::Replica(0), master), Cluster::host_of(Victim::Replica(1), master));
    let app = cluster.apps()[complete];

    // The master knows no password, so the replica cannot reconnect. Its sentinel still reaches the master.
    cluster.command(behind, &["CONFIG", "SET", "masterauth", "wrong"]).await.unwrap();
    cluster.command(behind, &["CLIENT", "KILL", "TYPE", "master"]).await.unwrap();
    let mut counted = 0;
    // Longer than ten times down-after, so that Sentinel itself would not promote it either.
    throughout("counting with one replica", Duration::from_secs(11), async || match visit(app).await {
        Some(number) => {
            counted = number;
            true
        }
        None => false,
    })
    .await;

    cluster.host(complete).freeze(Kind::Redis);
    for kind in [Kind::Redis, Kind::Sentinel, Kind::App] {
        cluster.host(master).kill(kind);
    }
    // Restarted, they know nothing of the complete one.
    for host in [behind, complete] {
        cluster.host(host).kill(Kind::Sentinel);
        cluster.start_sentinel(host).await;
    }
    throughout("no promotion of the other", Duration::from_secs(12), async || cluster.promoted(master).await.is_none())
        .await;

    cluster.host(complete).thaw(Kind::Redis);
    eventually("a promotion of the complete one", SOON, async || cluster.promoted(master).await == Some(complete))
        .await;
    cluster.command(behind, &["CONFIG", "SET", "masterauth", ""]).await.unwrap();
    cluster.start_sentinel(master).await;
    cluster.host(master).start_app();
    cluster.bring_back(master, Return::Guarded, master);
    cluster.until_healthy().await.unwrap();
    assert!(cluster.count().await.unwrap() >= counted);
}
