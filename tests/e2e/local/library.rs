//! The stack as a library: several stacks in one process, each on ports that the kernel chooses.

use std::num::NonZeroUsize;
use std::path::Path;

use ::local::{Options, Stack};
use app::{RedisConfig, StoreConfig};
use tests::client::get;
use tests::client::load::Load;
use tests::redis::Redis;
use tests::wait::{SOON, deadline, eventually};
use tokio::task::spawn_blocking;

use crate::replica::{assert_all_ok, assert_exactly, assert_in_order, number, numbers};

fn options(data: &Path) -> Options {
    Options::new(StoreConfig::File(data.join("hits.redb"))).on_free_ports()
}

/// Stops a stack on another thread, since that blocks.
async fn stop(stack: Stack) {
    deadline("the end of the stack", SOON, spawn_blocking(|| stack.stop())).await.unwrap().unwrap();
}

#[tokio::test]
async fn stacks_run_side_by_side_and_one_after_another() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for round in 0..2 {
        let stacks = folders.each_ref().map(|folder| Stack::start(&options(folder.path())).unwrap());
        for stack in stacks {
            let addresses = [stack.edge(), stack.replicas()[0], stack.replicas()[2]];
            for (address, step) in addresses.into_iter().zip(1..) {
                assert_eq!(number(&get(address, "/").await.unwrap()), round * 3 + step);
            }
            assert!(get(stack.admin(), "/").await.unwrap().status.is_success());
            let (edge, replica) = (stack.edge(), stack.replicas()[0]);
            stop(stack).await;
            assert!(get(edge, "/").await.is_err() && get(replica, "/").await.is_err(), "a port is still open");
        }
    }
}

#[tokio::test]
async fn a_replica_killed_under_load_fails_no_request_through_the_edge() {
    let data = tempfile::tempdir().unwrap();
    let mut stack = Stack::start(&options(data.path())).unwrap();
    let load = Load::on(&[stack.edge()]).connections(16).start();
    for index in [1, 0] {
        let before = load.done();
        eventually("visits", SOON, async || load.done() >= before + 100).await;
        stack.kill_replica(index);
        let address = stack.replicas()[index];
        assert!(get(address, "/").await.is_err(), "its port is still open");
    }
    let before = load.done();
    eventually("visits", SOON, async || load.done() >= before + 200).await;
    let records = load.stop().await;
    assert_all_ok(&records);
    assert_in_order(&records);
    let last = numbers(&records).last().copied().unwrap();
    assert!(number(&get(stack.replicas()[2], "/").await.unwrap()) > last);
    stop(stack).await;
}

#[tokio::test]
async fn stop_under_load_answers_every_visit_that_was_counted() {
    let data = tempfile::tempdir().unwrap();
    let options = Options { replicas: NonZeroUsize::MIN, ..options(data.path()) };
    let stack = Stack::start(&options).unwrap();
    let load = Load::on(&[stack.edge()]).connections(16).start();
    eventually("visits", SOON, async || load.done() >= 100).await;
    stop(stack).await;
    let records = load.stop().await;
    let stack = Stack::start(&options).unwrap();
    let next = number(&get(stack.edge(), "/").await.unwrap());
    assert_exactly(&numbers(&records), 1..=next - 1);
    stop(stack).await;
}

#[tokio::test]
async fn replicas_drain_at_the_same_time() {
    let mut redis = Redis::start().await;
    let store = StoreConfig::Redis(RedisConfig::parse(&redis.url(), None).unwrap());
    let stack = Stack::start(&Options::new(store).on_free_ports()).unwrap();
    let (first, last) = (stack.replicas()[0], stack.replicas()[2]);
    assert_eq!(number(&get(first, "/").await.unwrap()), 1);
    redis.freeze();
    let visit = tokio::spawn(get(first, "/"));
    eventually("a visit in progress", SOON, async || {
        // The other one is the request for the metrics.
        get(first, "/metrics").await.unwrap().text().contains("\napp_in_flight_requests 2\n")
    })
    .await;
    let stopped = tokio::spawn(stop(stack));
    eventually("a closed port", SOON, async || get(last, "/healthz").await.is_err()).await;
    assert!(!visit.is_finished(), "the last replica waited for the first");
    visit.await.unwrap().unwrap();
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_stack_can_be_dropped_where_blocking_is_not_allowed() {
    let data = tempfile::tempdir().unwrap();
    let stack = Stack::start(&options(data.path())).unwrap();
    let edge = stack.edge();
    drop(stack);
    eventually("the end of the edge", SOON, async || get(edge, "/").await.is_err()).await;
    // The stack has released its file.
    eventually("another stack on its file", SOON, async || match Stack::start(&options(data.path())) {
        Ok(again) => {
            stop(again).await;
            true
        }
        Err(_) => false,
    })
    .await;
}
