//! What a newcomer sees first: `cargo run`, its table, the curl commands, Ctrl-C.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::Signal;
use tests::client::get;
use tests::client::load::Load;
use tests::process::{Plan, Process};
use tests::redis::Redis;
use tests::wait::{SOON, eventually};

use crate::replica::{assert_all_ok, assert_exactly, assert_in_order, number, numbers};

/// The program after it has printed its table. Dropping it ends it.
pub(super) struct Local {
    pub(super) process: Process,
    /// The rows: name and address or path.
    pub(super) table: Vec<(String, String)>,
    /// The curl commands.
    pub(super) lines: Vec<String>,
}

impl Local {
    pub(super) async fn start(plan: Plan) -> Self {
        let mut process = plan.start();
        process.line("Ctrl-C stops the stack").await;
        let lines = process.lines();
        let rows = lines.iter().filter_map(|line| line.strip_prefix("  ")?.split_once("  "));
        let table = rows.map(|(name, place)| (name.trim().to_owned(), place.trim().to_owned())).collect();
        let lines = lines.iter().map(|line| line.trim()).filter(|line| line.starts_with("curl "));
        let lines = lines.map(str::to_owned).collect();
        Self { process, table, lines }
    }

    pub(super) fn cell(&self, name: &str) -> &str {
        self.table.iter().find(|row| row.0 == name).map_or_else(|| panic!("{:?}", self.table), |row| &row.1)
    }

    /// Returns the address in a row.
    pub(super) fn address(&self, name: &str) -> SocketAddr {
        self.cell(name).strip_prefix("http://").and_then(|address| address.parse().ok()).expect("a URL")
    }

    /// Presses Ctrl-C and returns the exit code.
    async fn interrupt(&mut self) -> Option<i32> {
        self.process.signal(Signal::INT);
        self.process.exit(SOON).await.code()
    }
}

/// Returns a plan to run the program on free ports, without a setting for where the count is stored.
pub(super) fn plan() -> Plan {
    let listen = ["--listen", "--edge", "--admin"].map(|flag| [flag, "127.0.0.1:0"]);
    Process::ours("local").args(listen.concat())
}

async fn in_folder(data: &Path) -> Local {
    Local::start(plan().arg("--data").arg(data)).await
}

/// Runs a command line that a user would copy.
fn shell(line: &str) -> Output {
    // With a time limit, so that a silent server fails the test.
    Command::new("timeout").args(["20", "sh", "-c", line]).output().unwrap()
}

#[tokio::test]
async fn the_commands_of_the_table_work_and_share_one_count() {
    let data = tempfile::tempdir().unwrap();
    let local = in_folder(data.path()).await;
    let names: Vec<_> = local.table.iter().map(|row| row.0.as_str()).collect();
    let expected = ["replica 1", "replica 2", "replica 3", "edge", "status page", "count"];
    assert_eq!(names[..expected.len()], expected);
    assert_eq!(local.lines.len(), 2, "{:?}", local.lines);

    for (line, seen) in local.lines.iter().chain(&local.lines).zip(1..) {
        let output = shell(line);
        let page = String::from_utf8(output.stdout).unwrap();
        assert_eq!(page, format!("Hello World! I have been seen {seen} times.\n"), "{line}");
    }
    for (name, seen) in ["replica 1", "replica 2", "replica 3", "edge"].into_iter().zip(5..) {
        assert_eq!(number(&get(local.address(name), "/").await.unwrap()), seen, "{name}");
    }
    let status = shell(&format!("curl --fail {}", local.cell("status page")));
    assert!(status.status.success(), "{status:?}");
    assert_eq!(Path::new(local.cell("count")), data.path().join("hits.redb"));
}

#[tokio::test]
async fn every_replica_gets_visits_through_the_edge() {
    let data = tempfile::tempdir().unwrap();
    let local = in_folder(data.path()).await;
    let load = Load::on(&[local.address("edge")]).start();
    eventually("visits", SOON, async || load.done() >= 60).await;
    let records = load.stop().await;
    assert_all_ok(&records);
    for replica in ["replica-1", "replica-2", "replica-3"] {
        let served = records.iter().filter_map(|record| record.outcome.as_ref().ok()?.header("x-served-by"));
        assert!(served.filter(|name| *name == replica).count() > 5, "{replica}");
    }
}

#[tokio::test]
async fn ctrl_c_under_load_answers_every_visit_that_was_counted() {
    let data = tempfile::tempdir().unwrap();
    let mut local = in_folder(data.path()).await;
    let loads = ["edge", "replica 1"].map(|name| Load::on(&[local.address(name)]).connections(8).start());
    eventually("visits", SOON, async || loads.iter().all(|load| load.done() >= 100)).await;
    assert_eq!(local.interrupt().await, Some(0));
    let mut records = Vec::new();
    for load in loads {
        records.extend(load.stop().await);
    }
    assert_in_order(&records);
    let local = in_folder(data.path()).await;
    let next = number(&get(local.address("edge"), "/").await.unwrap());
    assert_exactly(&numbers(&records), 1..=next - 1);
}

#[tokio::test]
async fn the_count_survives_kill_9_under_load() {
    let data = tempfile::tempdir().unwrap();
    let mut last = 0;
    for _ in 0..3 {
        let mut local = in_folder(data.path()).await;
        let load = Load::on(&[local.address("edge")]).connections(8).start();
        eventually("visits", SOON, async || load.done() >= 100).await;
        local.process.kill();
        let numbers = numbers(&load.stop().await);
        assert!(numbers.first() > Some(&last), "{:?} after {last}", numbers.first());
        last = numbers.last().copied().unwrap();
    }
}

#[tokio::test]
async fn a_damaged_file_ends_the_program_with_1_and_stays_as_it_is() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("hits.redb");
    for bytes in [vec![], vec![0xff; 64], vec![0; 1 << 20]] {
        std::fs::write(&path, &bytes).unwrap();
        let mut process = plan().arg("--data").arg(data.path()).start();
        process.line("is damaged and was left as it is").await;
        assert_eq!(process.exit(SOON).await.code(), Some(1));
        assert!(!process.lines().iter().any(|line| line.contains("a bug")), "{:?}", process.lines());
        assert!(std::fs::read(&path).unwrap() == bytes, "the file was changed");
    }
}

#[tokio::test]
async fn a_given_redis_stores_the_count() {
    let redis = Redis::start().await;
    let mut local = Local::start(plan().args(["--redis-url", &redis.url()])).await;
    for (name, seen) in ["replica 1", "edge", "replica 3"].into_iter().zip(1..) {
        assert_eq!(number(&get(local.address(name), "/").await.unwrap()), seen, "{name}");
        assert_eq!(redis.number("hits").await, seen);
    }
    assert_eq!(local.cell("count"), format!("127.0.0.1:{}", redis.port()));
    assert_eq!(local.interrupt().await, Some(0));
    assert_eq!(redis.number("hits").await, 3);
}

#[tokio::test]
async fn a_second_ctrl_c_does_not_wait_for_requests_in_progress() {
    let mut redis = Redis::start().await;
    let mut local = Local::start(plan().args(["--redis-url", &redis.url()])).await;
    let replica = local.address("replica 1");
    assert_eq!(number(&get(replica, "/").await.unwrap()), 1);
    redis.freeze();
    let visit = tokio::spawn(get(replica, "/"));
    eventually("a visit in progress", SOON, async || {
        // The other one is the request for the metrics.
        get(replica, "/metrics").await.unwrap().text().contains("\napp_in_flight_requests 2\n")
    })
    .await;
    local.process.signal(Signal::INT);
    local.process.line("Finishing").await;
    assert_eq!(local.interrupt().await, Some(1));
    assert!(visit.await.unwrap().is_err(), "the program waited for the visit");
}
