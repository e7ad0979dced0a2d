//! The program `watch`, with a real engine and with recorded responses of one.

mod access;
mod collectors;
mod engine;
mod program;
mod stream;

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;
use tests::client::{Reply, get};
use tests::port;
use tests::process::{Plan, Process};
use tests::wait::{SOON, eventually_some};

/// A running `watch`. Dropping it ends the process.
pub(crate) struct Watch {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Watch {
    /// Starts `watch` on a free port with the engine at `docker`.
    pub(crate) async fn start(docker: &str, arguments: &[&str]) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let mut process = plan(docker, address).args(arguments).start();
        process.line("listening").await;
        Self { process, address }
    }

    async fn get(&self, path: &str) -> Reply {
        get(self.address, path).await.unwrap()
    }

    async fn cluster(&self) -> Value {
        self.get("/api/swarm").await.json()
    }

    /// Waits for a cluster state that `test` accepts.
    async fn until(&self, what: &str, mut test: impl FnMut(&Value) -> bool) -> Value {
        eventually_some(what, SOON, async || Some(self.cluster().await).filter(|cluster| test(cluster))).await
    }
}

fn plan(docker: &str, address: SocketAddr) -> Plan {
    Process::ours("watch").args(["--docker", docker, "--listen", &address.to_string()])
}

/// Returns the entries of a map of the cluster state.
fn entries<'a>(cluster: &'a Value, map: &str) -> impl Iterator<Item = &'a Value> {
    cluster[map].as_object().into_iter().flat_map(|map| map.values())
}

/// Returns the entry of a map whose field is `value`.
fn entry<'a>(cluster: &'a Value, map: &str, field: &str, value: &str) -> &'a Value {
    entries(cluster, map).find(|entry| entry[field] == value).unwrap_or(&Value::Null)
}
