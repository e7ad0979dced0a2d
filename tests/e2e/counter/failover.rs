//! A replicated Redis loses its master, a replica, or sentinels under load.

use std::time::{Duration, Instant};

use http::StatusCode;
use redis::Value;
use rustix::process::Signal;
use tests::client::load::{Load, Record, Running};
use tests::process::Plan;
use tests::redis::Redis;
use tests::redis::group::Group;
use tests::relay::{Relay, Wire};
use tests::wait::{SOON, deadline, eventually};

use crate::replica::{ANY, Replica, assert_all_ok, assert_exactly, assert_in_order, numbers, plan};

const CONNECTIONS: usize = 16;

struct Rig {
    group: Group,
    replicas: [Replica; 2],
    load: Running,
}

/// Returns a plan to run the counter with the sentinels of `group`.
fn plan_for(group: &Group) -> Plan {
    plan(&[]).env("REDIS_SENTINELS", group.list())
}

impl Rig {
    async fn start() -> Self {
        Self::on(Group::start().await).await
    }

    async fn on(group: Group) -> Self {
        group.until_settled().await;
        let replicas = [Replica::start(plan_for(&group), ANY).await, Replica::start(plan_for(&group), ANY).await];
        for replica in &replicas {
            replica.ready(SOON).await;
        }
        let addresses = replicas.each_ref().map(|replica| replica.address);
        let load = Load::on(&addresses).connections(CONNECTIONS).pace(Duration::from_millis(2)).start();
        let rig = Self { group, replicas, load };
        rig.answers(10 * CONNECTIONS).await;
        rig
    }

    async fn answers(&self, count: usize) {
        let before = self.load.done();
        eventually("answers", SOON, async || self.load.done() >= before + count).await;
    }

    /// Waits until a server other than `before` is the master and both replicas are ready. Returns how long that took.
    async fn failed_over(&self, before: u16) -> Duration {
        let start = Instant::now();
        for replica in &self.replicas {
            eventually("a new master", SOON, async || metric(replica, "app_master_switches_total").await > 0).await;
            replica.ready(SOON).await;
        }
        let took = start.elapsed();
        assert_ne!(self.group.master().await, before);
        self.answers(20 * CONNECTIONS).await;
        took
    }

    /// Ends the load and checks the invariants.
    async fn finish(mut self) -> Vec<Record> {
        let records = self.load.stop().await;
        let master = self.group.master().await;
        let hits = self.group.on(master).number("hits").await;
        let mut refused = 0;
        for record in &records {
            let reply = record.outcome.as_ref().ok();
            let refusal = reply.is_some_and(|reply| {
                reply.status == StatusCode::SERVICE_UNAVAILABLE && reply.header("retry-after").is_some()
            });
            refused += u64::from(refusal);
            assert!(record.is_ok() || refusal, "{:?}", record.outcome);
        }
        let numbers = numbers(&records);
        assert_in_order(&records);
        assert!(numbers.last() <= Some(&hits), "{:?} was returned, Redis has {hits}", numbers.last());
        let returned = numbers.len() as u64;
        assert!(
            returned <= hits && hits <= returned + refused,
            "{returned} returned, {refused} refused, {hits} counted"
        );
        records
    }
}

async fn metric(replica: &Replica, name: &str) -> u64 {
    let text = replica.get("/metrics").await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
}

#[tokio::test]
async fn when_the_master_is_killed_a_replica_takes_over_and_no_number_is_returned_twice() {
    let mut rig = Rig::start().await;
    let master = rig.group.master().await;
    rig.group.on(master).kill();
    let took = rig.failed_over(master).await;
    println!("master killed: counting again after {took:?}");
    assert!(rig.finish().await.iter().any(|record| !record.is_ok()), "there was no outage");
}

#[tokio::test]
async fn a_master_that_was_paused_during_a_failover_does_not_roll_the_count_back() {
    let mut rig = Rig::start().await;
    let master = rig.group.master().await;
    rig.group.on(master).freeze();
    let took = rig.failed_over(master).await;
    println!("master paused: counting again after {took:?}");
    rig.group.on(master).thaw();
    rig.answers(20 * CONNECTIONS).await;
    rig.finish().await;
}

#[tokio::test]
async fn the_loss_of_a_replica_or_a_sentinel_causes_no_outage() {
    let mut rig = Rig::start().await;
    let master = rig.group.master().await;
    let replica = rig.group.servers.iter_mut().find(|server| server.port() != master).unwrap();
    replica.freeze();
    rig.answers(20 * CONNECTIONS).await;
    replica_of(&mut rig.group, master).thaw();
    rig.group.sentinels[0].signal(Signal::STOP);
    rig.answers(20 * CONNECTIONS).await;
    rig.group.sentinels[0].signal(Signal::CONT);
    rig.group.sentinels[1].kill();
    rig.answers(20 * CONNECTIONS).await;
    rig.group.sentinels[1].restart();
    rig.answers(20 * CONNECTIONS).await;
    assert_all_ok(&rig.finish().await);
}

fn replica_of(group: &mut Group, master: u16) -> &mut Redis {
    group.servers.iter_mut().find(|server| server.port() != master).expect("two replicas")
}

#[tokio::test]
async fn a_master_that_replies_readonly_is_abandoned() {
    let mut rig = Rig::start().await;
    let master = rig.group.master().await;
    // As if the sentinels reconfigured it before the counter's replicas notice.
    let other = replica_of(&mut rig.group, master).port();
    let _: Value = redis::cmd("REPLICAOF")
        .arg("127.0.0.1")
        .arg(other)
        .query_async(&mut rig.group.on(master).connection().await)
        .await
        .unwrap();
    for replica in &rig.replicas {
        eventually("failed readiness", SOON, async || {
            replica.get("/readyz").await.status == StatusCode::SERVICE_UNAVAILABLE
        })
        .await;
    }
    let _: Value = redis::cmd("REPLICAOF")
        .arg(&["NO", "ONE"])
        .query_async(&mut rig.group.on(master).connection().await)
        .await
        .unwrap();
    for replica in &rig.replicas {
        replica.ready(SOON).await;
    }
    rig.load.stop().await;
}

#[tokio::test]
async fn without_replicas_visits_are_refused_with_the_reason_or_counted_as_configured() {
    for (mode, status, text) in [("refuse", 503, "no replica has acknowledged the count"), ("go-on", 200, "degraded")] {
        let mut group = Group::start_with(&["--min-replicas-to-write", "0"], "").await;
        group.until_settled().await;
        let replica = Replica::start(plan_for(&group).env("APP_DEGRADED", mode), ANY).await;
        replica.ready(SOON).await;
        assert_eq!(replica.visit().await, 1);
        let master = group.master().await;
        for server in group.servers.iter_mut().filter(|server| server.port() != master) {
            server.kill();
        }
        let reply = deadline("an answer", SOON, replica.get("/")).await;
        assert_eq!(reply.status.as_u16(), status, "{mode}");
        eventually("the reason", SOON, async || replica.get("/readyz").await.text().contains(text)).await;
        assert_eq!(metric(&replica, "app_store_degraded").await, 1, "{mode}");
    }
}

#[tokio::test]
async fn without_most_sentinels_no_number_is_returned() {
    let mut group = Group::start().await;
    group.until_settled().await;
    let replica = Replica::start(plan_for(&group), ANY).await;
    replica.ready(SOON).await;
    replica.visit().await;
    for sentinel in &mut group.sentinels[..2] {
        sentinel.kill();
    }
    assert_eq!(replica.get("/").await.status, StatusCode::SERVICE_UNAVAILABLE);
    eventually("the reason", SOON, async || {
        replica.get("/readyz").await.text().contains("too few sentinels confirm the master")
    })
    .await;
    group.sentinels[0].restart();
    replica.ready(SOON).await;
}

#[tokio::test]
async fn a_batch_whose_reply_is_lost_is_sent_again_and_counted_once() {
    let redis = Redis::start().await;
    let wire = Wire::new();
    let relay = Relay::start(([127, 0, 0, 1], redis.port()).into(), &wire).await;
    let replica = Replica::start(plan(&["--redis-url", &format!("redis://{}", relay.address())]), ANY).await;
    replica.ready(SOON).await;
    for expected in 1..=10 {
        wire.lose_next_reply();
        assert_eq!(replica.visit().await, expected);
    }
    assert_eq!(wire.lost(), 10);
    assert_eq!(redis.number("hits").await, 10);
    assert_eq!(metric(&replica, "app_batches_repeated_total").await, 10);
}

#[tokio::test]
async fn a_script_that_redis_has_flushed_is_sent_again() {
    let redis = Redis::start().await;
    let replica = Replica::on_redis(&redis).await;
    let load = Load::on(&[replica.address]).connections(4).start();
    for _ in 0..5 {
        let before = load.done();
        let _: () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut redis.connection().await).await.unwrap();
        eventually("visits", SOON, async || load.done() >= before + 50).await;
    }
    let records = load.stop().await;
    assert_all_ok(&records);
    assert_exactly(&numbers(&records), 1..=redis.number("hits").await);
}

#[tokio::test]
async fn passwords_are_read_from_files_and_never_logged() {
    let sentinel = "sentinel auth-pass counter redis-s3cret\nrequirepass sentinel-s3cret\n\
                    sentinel sentinel-pass sentinel-s3cret\n";
    let group = Group::start_with(&[], sentinel).await;
    group.until_in_sync().await;
    for server in &group.servers {
        let mut connection = server.connection().await;
        for name in ["masterauth", "requirepass"] {
            let set = redis::cmd("CONFIG").arg("SET").arg(name).arg("redis-s3cret").to_owned();
            let _: () = set.query_async(&mut connection).await.unwrap();
        }
    }
    group.until_known(":sentinel-s3cret@").await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{name}\n")).unwrap();
        path
    };
    let right = plan_for(&group)
        .env("REDIS_USER_FILE", file("default"))
        .env("REDIS_PASSWORD_FILE", file("redis-s3cret"))
        .env("SENTINEL_PASSWORD_FILE", file("sentinel-s3cret"));
    let right = Replica::start(right, ANY).await;
    assert_eq!(right.visit().await, 1);
    let mut wrong = Replica::start(plan_for(&group).env("SENTINEL_PASSWORD_FILE", file("wrong")), ANY).await;
    wrong.process.line("a sentinel does not answer").await;
    assert_eq!(wrong.get("/").await.status, StatusCode::SERVICE_UNAVAILABLE);
    for line in [right.process.lines(), wrong.process.lines()].concat() {
        assert!(!line.contains("s3cret"), "{line}");
    }
}

#[tokio::test]
async fn durability_fsync_is_refused_by_a_redis_without_waitaof() {
    let redis = Redis::start().await;
    let mut replica = Replica::start(plan(&["--redis-url", &redis.url(), "--durability", "fsync"]), ANY).await;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut redis.connection().await).await.unwrap();
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap();
    let version: Vec<u32> = version.trim().split('.').map(|part| part.parse().unwrap()).collect();
    if version.as_slice() < [7, 2].as_slice() {
        replica.process.line("durability fsync needs WAITAOF").await;
        assert_eq!(replica.get("/").await.status, StatusCode::SERVICE_UNAVAILABLE);
    } else {
        assert_eq!(replica.visit().await, 1);
    }
}
