//! The edge as a process between real clients and real upstreams, with one module for each subject.

mod access_log;
mod admin;
mod balance;
mod bodies;
mod checks;
mod client_limits;
mod damaged_keys;
mod dead_peers;
mod decisions;
mod dns_check;
mod dns_check_answers;
mod dns_discovery;
mod drain;
mod endpoint_drain;
mod errors;
mod event_stream;
mod exhausted;
mod file_limit;
mod forwarding;
mod frames;
mod full_pools;
mod half_close;
mod hand_over;
mod health;
mod hedging;
mod http2;
mod http2_faults;
mod http2_streams;
mod hung;
mod idle_life;
mod interim;
mod ledger;
mod max_forwards;
mod memory;
mod mesh;
mod probation;
mod raw_endpoint;
mod refused;
mod reload;
mod replay;
mod retries;
mod retry_rules;
mod rules;
mod slow_start;
mod smuggling;
mod sources;
mod startup;
mod sticky;
mod surplus;
mod suspicion;
mod swarm_discovery;
mod systemd;
mod takeover;
mod timeouts;
mod tls;
mod upgrades;

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use serde_json::Value;
use tempfile::TempDir;
use tests::{
    client::{
        self, Connection, get,
        load::{Record, Running},
    },
    process::{Plan, Process},
    upstream::Upstream,
    wait::{SOON, eventually, eventually_some},
};

/// A running edge and the folder of its configuration file. Dropping it ends the process.
struct Edge {
    process: Process,
    folder: TempDir,
    /// The addresses that clients connect to.
    addresses: Vec<SocketAddr>,
    /// The address of status, metrics and health.
    admin: SocketAddr,
}

impl Edge {
    /// Starts an edge with this configuration and returns when it listens.
    async fn start(config: &str) -> Self {
        Self::start_by(config, run).await
    }

    /// Starts an edge as `plan` prepares it, from the folder of its configuration file.
    async fn start_by(config: &str, plan: impl FnOnce(&Path) -> Plan) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), config);
        let mut process = plan(folder.path()).start();
        // The edge logs the address of the admin listener last.
        let admin = address(&process.line("\"status page").await).expect("an address");
        let lines = process.lines();
        let listening = lines.iter().filter(|line| line.contains("\"listening\""));
        let addresses = listening.filter_map(|line| address(line)).collect();
        Self { process, folder, addresses, admin }
    }

    /// The first address that clients connect to.
    fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Replaces the configuration file and sends SIGHUP. Returns the log line that reports the outcome.
    async fn reload(&mut self, config: &str) -> String {
        let outcomes = |edge: &Self| {
            let lines = edge.process.lines().into_iter();
            lines.filter(|line| line.contains("configuration is in use") || line.contains("configuration stays"))
        };
        let before = outcomes(self).count();
        write(self.folder.path(), config);
        self.process.hang_up();
        eventually_some("the reload", SOON, async || outcomes(self).nth(before)).await
    }

    /// Sends SIGTERM and returns the exit code.
    async fn drain(&mut self, within: Duration) -> Option<i32> {
        self.process.terminate();
        self.process.exit(within).await.code()
    }

    /// Waits until new connections are refused.
    async fn stops_listening(&self) {
        eventually("the end of the listener", SOON, async || {
            matches!(Connection::http1(self.address()).await, Err(client::Error::Connect(_)))
        })
        .await;
    }

    /// Returns the status that the admin listener serves.
    async fn status(&self) -> Value {
        get(self.admin, "/status.json").await.expect("a response").json()
    }

    /// Waits until this decision about endpoints is one of the recent ones.
    async fn decides(&self, decision: &str) {
        eventually(decision, SOON, async || {
            let status = self.status().await;
            status["decisions"].as_array().expect("decisions").iter().any(|item| item["decision"] == decision)
        })
        .await;
    }
}

/// Returns the address in a line of the edge's log.
fn address(line: &str) -> Option<SocketAddr> {
    serde_json::from_str::<Value>(line).ok()?["address"].as_str()?.parse().ok()
}

/// Prepares `edge run` with the configuration file in `folder`.
fn run(folder: &Path) -> Plan {
    let flags = ["run", "--admin", "127.0.0.1:0", "--workers", "2", "--config"];
    Process::ours("edge").args(flags).arg(folder.join("edge.toml"))
}

fn write(folder: &Path, config: &str) {
    fs::write(folder.join("edge.toml"), config).expect("a file can be written");
}

/// A configuration with one listener without TLS and one pool of `endpoints` without health checks. Keys that a test
/// appends belong to the pool.
fn unchecked(endpoints: &[SocketAddr]) -> String {
    format!("{LISTENER}[pool.web]\nendpoints = {}\nhealth = false\n", list(endpoints))
}

/// The same with frequent health checks.
fn checked(endpoints: &[SocketAddr]) -> String {
    format!("{LISTENER}[pool.web]\nendpoints = {}\n{CHECKS}", list(endpoints))
}

const LISTENER: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\n";

const CHECKS: &str = r#"
[pool.web.health]
path = "/healthz"
interval = "200ms"
fast_interval = "50ms"
timeout = "1s"
"#;

/// Formats a TOML list of strings.
fn list(items: &[impl ToString]) -> String {
    let items: Vec<String> = items.iter().map(|item| format!("\"{}\"", item.to_string())).collect();
    format!("[{}]", items.join(", "))
}

fn addresses(upstreams: &[Upstream]) -> Vec<SocketAddr> {
    upstreams.iter().map(Upstream::address).collect()
}

/// Returns the value of a field in an upstream's echo. Several fields of one name are joined by commas.
fn field(echo: &Value, name: &str) -> Option<String> {
    let fields = echo["headers"].as_array().expect("an echo").iter().filter(|field| field[0] == name);
    let values: Vec<&str> = fields.filter_map(|field| field[1].as_str()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Asserts that every request was answered with 200.
fn assert_all_ok(records: &[Record]) {
    let failed: Vec<_> = records.iter().filter(|record| !record.is_ok()).collect();
    assert!(failed.is_empty(), "{} of {} failed: {:#?}", failed.len(), records.len(), failed.first());
    assert!(!records.is_empty(), "no request was made");
}

/// Fails if a removed task keeps a connection, or gets a request while `load` goes on.
async fn assert_no_more_requests(task: &Upstream, load: &Running) {
    // It still runs. Its connections end all the same, those of its health checks too.
    eventually("the end of its connections", SOON, async || task.open_connections() == 0).await;
    let before = (task.requests(), load.done());
    eventually("more load", SOON, async || load.done() > before.1 + 300).await;
    assert_eq!(task.requests(), before.0);
}
