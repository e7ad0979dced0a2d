//! SIGTERM to the counter.

use http::StatusCode;
use tests::client::load::Load;
use tests::client::{self, Connection, Reply, get};
use tests::redis::Redis;
use tests::wait::{SOON, deadline, eventually};
use tokio::task::JoinHandle;

use crate::replica::{ANY, Replica, assert_all_ok, assert_exactly, number, numbers, plan};

#[tokio::test]
async fn under_load_every_visit_that_was_counted_is_answered() {
    let redis = Redis::start().await;
    for _ in 0..3 {
        let mut replica = Replica::on_redis(&redis).await;
        let before = redis.number("hits").await;
        let load = Load::on(&[replica.address]).connections(32).start();
        eventually("visits", SOON, async || load.done() >= 300).await;
        assert_eq!(replica.drain().await, Some(0));
        let records = load.stop().await;
        let after = redis.number("hits").await;
        assert_exactly(&numbers(&records), before + 1..=after);
    }
}

#[tokio::test]
async fn readiness_fails_first_while_new_connections_are_still_served() {
    let redis = Redis::start().await;
    let arguments = ["--redis-url", &redis.url(), "--drain-delay", "3s"];
    let mut replica = Replica::start(plan(&arguments), ANY).await;
    replica.ready(SOON).await;
    let load = Load::on(&[replica.address]).connections(8).start();
    replica.process.terminate();
    eventually("failed readiness", SOON, async || {
        replica.get("/readyz").await.status == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    // On a new connection, as from a mesh that has not noticed yet.
    assert!(replica.visit().await > 0);
    let before = load.done();
    eventually("visits", SOON, async || load.done() >= before + 50).await;
    assert_all_ok(&load.stop().await);
    assert_eq!(replica.process.exit(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn a_visit_in_progress_is_answered_before_the_process_ends() {
    let (mut redis, mut replica, visit) = visit_in_progress(&["--deadline", "10s"]).await;
    replica.process.terminate();
    replica.process.line("\"draining\"").await;
    eventually("a closed port", SOON, async || get(replica.address, "/healthz").await.is_err()).await;
    assert_eq!(replica.process.exited(), None, "the process did not wait for the visit");
    redis.thaw();
    let reply = deadline("the answer", SOON, visit).await.unwrap().unwrap();
    assert_eq!(number(&reply), 1);
    assert_eq!(replica.process.exit(SOON).await.code(), Some(0));
}

#[tokio::test]
async fn a_visit_that_outlasts_the_grace_period_is_cut_off() {
    let (_redis, mut replica, visit) = visit_in_progress(&["--deadline", "60s", "--grace", "100ms"]).await;
    assert_eq!(replica.drain().await, Some(0));
    let reply = deadline("the end of the connection", SOON, visit).await.unwrap();
    assert!(reply.is_err(), "{reply:?}");
}

/// Starts a replica with a visit that waits for a frozen Redis.
async fn visit_in_progress(arguments: &[&str]) -> (Redis, Replica, JoinHandle<Result<Reply, client::Error>>) {
    let mut redis = Redis::start().await;
    let url = redis.url();
    let arguments = [&["--redis-url", &url], arguments].concat();
    let replica = Replica::start(plan(&arguments), ANY).await;
    replica.ready(SOON).await;
    let mut connection = Connection::http1(replica.address).await.unwrap();
    redis.freeze();
    let visit = tokio::spawn(async move { connection.get("/").await });
    eventually("a visit in progress", SOON, async || {
        // The other one is the request for the metrics.
        replica.get("/metrics").await.text().contains("\napp_in_flight_requests 2\n")
    })
    .await;
    (redis, replica, visit)
}
