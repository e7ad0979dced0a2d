//! A counter that stores its count in a file is killed under load.

use std::path::Path;

use tests::client::load::Load;
use tests::wait::{SOON, eventually};

use crate::replica::{ANY, Replica, numbers, plan};

const ROUNDS: usize = 4;

async fn replica(data: &Path) -> Replica {
    Replica::start(plan(&["--data"]).arg(data), ANY).await
}

#[tokio::test]
async fn returned_numbers_survive_kill_9_under_load() {
    let data = tempfile::tempdir().unwrap();
    let mut last = 0;
    let mut visits = 0;
    for round in 0..ROUNDS {
        let mut replica = replica(data.path()).await;
        let load = Load::on(&[replica.address]).connections(16).start();
        eventually("visits", SOON, async || load.done() >= 200 + 50 * round).await;
        replica.process.kill();
        let records = load.stop().await;
        visits += records.len() as u64;
        let numbers = numbers(&records);
        assert!(numbers.first() > Some(&last), "{:?} after {last}", numbers.first());
        last = numbers.last().copied().unwrap();
    }
    let next = replica(data.path()).await.visit().await;
    assert!(next > last, "{next} after {last}");
    // Visits in progress may have been counted, but only once.
    assert!(next <= visits + 1, "{next} after {visits} visits");
}
