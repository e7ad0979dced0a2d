//! Three counters with one Redis behind an edge, each as a process, as in the stack.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tests::client::load::{Load, Running};
use tests::port;
use tests::process::Process;
use tests::redis::Redis;
use tests::wait::{SOON, eventually};

use crate::replica::{Replica, address, assert_all_ok, assert_in_order, numbers, plan};

/// Keep-alive connections to the edge.
const CONNECTIONS: usize = 64;

/// The pause between the requests of a connection. It results in thousands of requests a second, with some connections
/// idle at any time, as with real clients.
const PACE: Duration = Duration::from_millis(5);

struct Rig {
    redis: Redis,
    replicas: Vec<Replica>,
    /// Ends when it is dropped.
    _edge: Process,
    load: Running,
}

impl Rig {
    async fn start() -> Self {
        let redis = Redis::start().await;
        let mut replicas = Vec::new();
        for _ in 0..3 {
            replicas.push(replica(&redis, SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()))).await);
        }
        let to: Vec<String> = replicas.iter().map(|replica| replica.address.to_string()).collect();
        // Configured by variables, like the service.
        let mut edge = Process::ours("edge")
            .arg("run")
            .env("EDGE_LISTEN", "127.0.0.1:0")
            .env("EDGE_TO", to.join(","))
            .env("EDGE_HEALTH_PATH", "/readyz")
            .env("EDGE_HEALTH_EXPECT", "200")
            .env("EDGE_ADMIN", "off")
            .start();
        let edge_address = address(&edge.line("\"listening\"").await);
        let load = Load::on(&[edge_address]).connections(CONNECTIONS).pace(PACE).start();
        let rig = Self { redis, replicas, _edge: edge, load };
        for replica in &rig.replicas {
            gets_visits(replica).await;
        }
        rig
    }

    /// Starts a replica that has ended again, at its address.
    async fn restart(&mut self, index: usize) {
        let address = self.replicas[index].address;
        self.replicas[index] = replica(&self.redis, address).await;
    }

    /// Waits for a few responses on every connection.
    async fn answers(&self) {
        let before = self.load.done();
        eventually("answers", SOON, async || self.load.done() >= before + 5 * CONNECTIONS).await;
    }

    /// Ends the load and asserts that every visit succeeded.
    async fn finish(self) {
        let records = self.load.stop().await;
        assert_all_ok(&records);
        let hits = self.redis.number("hits").await;
        assert!(numbers(&records).last() <= Some(&hits));
        assert_in_order(&records);
    }
}

async fn replica(redis: &Redis, listen: SocketAddr) -> Replica {
    Replica::start(plan(&["--redis-url", &redis.url()]), listen).await
}

/// Waits until a replica has answered visits since its start.
async fn gets_visits(replica: &Replica) {
    eventually("visits to a replica", SOON, async || replica.hits().await >= 20).await;
}

#[tokio::test]
async fn a_replica_killed_under_load_fails_no_request_and_is_used_again_after_its_return() {
    let mut rig = Rig::start().await;
    for index in [0, 2] {
        rig.replicas[index].process.kill();
        rig.answers().await;
        rig.restart(index).await;
        gets_visits(&rig.replicas[index]).await;
    }
    rig.finish().await;
}

#[tokio::test]
async fn a_rolling_restart_under_load_fails_no_request() {
    let mut rig = Rig::start().await;
    for index in 0..rig.replicas.len() {
        assert_eq!(rig.replicas[index].drain().await, Some(0));
        rig.answers().await;
        rig.restart(index).await;
        gets_visits(&rig.replicas[index]).await;
    }
    rig.finish().await;
}
