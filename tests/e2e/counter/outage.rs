//! Redis stops under load and returns.

use std::time::{Duration, Instant};

use http::StatusCode;
use tests::client::Reply;
use tests::client::load::{Load, Record, Running};
use tests::redis::Redis;
use tests::wait::{SOON, eventually};

use crate::replica::{Replica, numbers};

const KILLS: usize = 3;

/// The number of connections of the load.
const CONNECTIONS: usize = 16;

struct Rig {
    redis: Redis,
    replicas: [Replica; 2],
    load: Running,
}

impl Rig {
    /// Starts Redis as in the stack, two replicas, and load on both.
    async fn start() -> Self {
        let redis = Redis::start().await;
        let replicas = [Replica::on_redis(&redis).await, Replica::on_redis(&redis).await];
        for replica in &replicas {
            replica.ready(SOON).await;
        }
        let addresses = replicas.each_ref().map(|replica| replica.address);
        let load = Load::on(&addresses).connections(CONNECTIONS).pace(Duration::from_millis(2)).start();
        Self { redis, replicas, load }
    }

    /// Waits for `count` more responses.
    async fn answers(&self, count: usize) {
        let before = self.load.done();
        eventually("answers", SOON, async || self.load.done() >= before + count).await;
    }

    /// Waits for responses on all connections while Redis is stopped, and checks what operators see.
    async fn without_redis(&self) {
        for replica in &self.replicas {
            eventually("failed readiness", SOON, async || {
                replica.get("/readyz").await.status == StatusCode::SERVICE_UNAVAILABLE
            })
            .await;
            assert_eq!(replica.get("/healthz").await.status, StatusCode::OK, "the process is alive");
        }
        self.answers(4 * CONNECTIONS).await;
    }

    /// Waits until every replica is ready after the return of Redis, and returns when that was.
    async fn recovered(&self) -> Instant {
        for replica in &self.replicas {
            replica.ready(SOON).await;
        }
        let recovered = Instant::now();
        self.answers(20 * CONNECTIONS).await;
        recovered
    }

    async fn finish(self) -> (Vec<Record>, u64) {
        let records = self.load.stop().await;
        (records, self.redis.number("hits").await)
    }
}

fn is_refusal(reply: &Reply) -> bool {
    reply.status == StatusCode::SERVICE_UNAVAILABLE && reply.header("retry-after").is_some()
}

/// Asserts what must hold after any number of outages.
fn assert_sound(records: &[Record], hits: u64, outages: usize) {
    for record in records {
        let answered = record.is_ok() || record.outcome.as_ref().is_ok_and(is_refusal);
        assert!(answered, "after {:?}: {:?}", record.took(), record.outcome);
    }
    let refused = records.iter().filter(|record| !record.is_ok()).count();
    assert!(refused >= CONNECTIONS, "{refused} refused: there was no outage");
    let numbers = numbers(records);
    assert!(numbers.last() <= Some(&hits), "{:?} was returned, Redis has {hits}", numbers.last());
    // Visits in progress at an outage may have been counted, but only once; later ones were not sent.
    let unknown = hits - numbers.len() as u64;
    assert!(unknown <= (outages * CONNECTIONS) as u64, "{unknown} visits were counted without an answer");
}

fn assert_all_ok_after(recovered: Instant, records: &[Record]) {
    let failed = records.iter().find(|record| record.started > recovered && !record.is_ok());
    assert!(failed.is_none(), "after the recovery: {failed:#?}");
}

#[tokio::test]
async fn while_redis_is_killed_and_restarted_visits_are_answered_and_no_number_is_returned_twice() {
    let mut rig = Rig::start().await;
    let mut recovered = Instant::now();
    for _ in 0..KILLS {
        rig.answers(10 * CONNECTIONS).await;
        rig.redis.kill();
        rig.without_redis().await;
        rig.redis.restart().await;
        recovered = rig.recovered().await;
    }
    let (records, hits) = rig.finish().await;
    assert_sound(&records, hits, KILLS);
    assert_all_ok_after(recovered, &records);
}

#[tokio::test]
async fn while_redis_is_frozen_visits_are_answered_and_no_number_is_returned_twice() {
    let mut rig = Rig::start().await;
    rig.answers(10 * CONNECTIONS).await;
    rig.redis.freeze();
    rig.without_redis().await;
    rig.redis.thaw();
    let recovered = rig.recovered().await;
    let (records, hits) = rig.finish().await;
    assert_sound(&records, hits, 1);
    assert_all_ok_after(recovered, &records);
}
