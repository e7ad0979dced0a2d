//! A Redis behind a long round trip.

use std::time::Duration;

use tests::redis::Redis;
use tests::relay::{Link, Relay, Wire};
use tests::wait::{SOON, eventually};

use crate::replica::{ANY, Replica, plan};

#[tokio::test]
async fn a_distant_redis_is_reached_and_a_slow_one_is_reported() {
    let redis = Redis::start().await;
    let wire = Wire::new();
    let relay = Relay::start(([127, 0, 0, 1], redis.port()).into(), &wire).await;
    // In each direction: connecting takes longer than a second.
    wire.set(Link::Slow(Duration::from_millis(220)));
    let mut replica = Replica::start(plan(&["--redis-url", &format!("redis://{}", relay.address())]), ANY).await;
    replica.ready(SOON).await;

    wire.set(Link::Slow(Duration::from_millis(300)));
    eventually("the store to be slow", SOON, async || {
        replica.get("/").await;
        replica.get("/readyz").await.text() == "ready, but slow: the store takes long to count\n"
    })
    .await;
    replica.process.line("the store is slow").await;
    assert!(replica.get("/metrics").await.text().contains("\napp_store_slow 1\n"));

    wire.set(Link::Open);
    eventually("the store to be fast", SOON, async || {
        replica.get("/").await;
        replica.get("/readyz").await.text() == "ready\n"
    })
    .await;
    assert!(replica.get("/metrics").await.text().contains("\napp_store_slow 0\n"));
}
