//! Logins of Redis and its sentinels change while visits are counted.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use redis::Client;
use tempfile::TempDir;
use tests::client::load::{Load, Running};
use tests::process::Process;
use tests::redis::Redis;
use tests::redis::group::Group;
use tests::wait::{SOON, eventually};

use crate::replica::{ANY, Replica, assert_exactly, numbers, plan};

/// Part of the log line that says that Redis accepts what the files contain.
const ACCEPTED: &str = "the login and the certificates in the files work";

/// The passwords, by whose names no secret is meant to be found in a log.
const OLD: &str = "Pd2nKs8uYe4i";
const NEW: &str = "Wo7aGl9cHf3y";

/// Sends `command` to the server or sentinel at `address`.
async fn send(address: &str, command: &[&str]) {
    let client = Client::open(format!("redis://{address}")).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let _: redis::Value = redis::cmd(command[0]).arg(&command[1..]).query_async(&mut connection).await.unwrap();
}

/// Changes the user `app`.
async fn user(address: &str, rules: &[&str]) {
    send(address, &[&["ACL", "SETUSER", "app"][..], rules].concat()).await;
}

/// Makes the user log in again.
async fn disconnect(address: &str) {
    send(address, &["CLIENT", "KILL", "USER", "app"]).await;
}

/// The rules by which a password is added or removed.
fn add(password: &str) -> String {
    format!(">{password}")
}

fn remove(password: &str) -> String {
    format!("<{password}")
}

/// A replica under load, and the folder of its secrets.
struct Rig {
    replica: Replica,
    load: Running,
    folder: TempDir,
}

impl Rig {
    /// Starts `app` with these flags, each of which names a file, and their contents.
    async fn start(files: &[(&str, &str)], further: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut plan = plan(further);
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            plan = plan.arg(format!("--{name}={}", path.display()));
        }
        let replica = Replica::start(plan, ANY).await;
        replica.ready(SOON).await;
        let load = Load::on(&[replica.address]).connections(8).pace(Duration::from_millis(2)).start();
        let rig = Self { replica, load, folder };
        rig.more().await;
        rig
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits for more responses.
    async fn more(&self) {
        let before = self.load.done();
        eventually("answers", SOON, async || self.load.done() >= before + 100).await;
    }

    /// Waits for the nth line that contains `part`.
    async fn lines(&self, part: &str, count: usize) {
        let found = || self.replica.process.lines().iter().filter(|line| line.contains(part)).count();
        eventually(part, SOON, async || found() >= count).await;
    }

    /// Asserts that every visit got a number of its own, and that no other was counted.
    async fn finish(self, hits: u64) {
        let records = self.load.stop().await;
        let failed: Vec<_> = records.iter().filter(|record| !record.is_ok()).collect();
        let log = self.replica.process.lines().join("\n");
        assert!(failed.is_empty(), "{} of {} failed: {:?}\n{log}", failed.len(), records.len(), failed.first());
        // The load may still have counted when the number was read.
        let numbers = numbers(&records);
        assert!(numbers.last() >= Some(&hits), "{hits}");
        assert_exactly(&numbers, 1..=numbers.len() as u64);
        assert!(!log.contains(OLD) && !log.contains(NEW), "a password is in the log: {log}");
    }
}

#[tokio::test]
async fn a_password_is_replaced_under_load_and_no_visit_fails() {
    let redis = Redis::start().await;
    let server = format!("127.0.0.1:{}", redis.port());
    let url = |password: &str| format!("redis://app:{password}@{server}\n");
    user(&server, &["on", "~*", "+@all", &add(OLD)]).await;
    let rig = Rig::start(&[("redis-url-file", &url(OLD))], &[]).await;
    // Nobody sends a signal.
    user(&server, &[&add(NEW)]).await;
    fs::write(rig.file("redis-url-file"), url(NEW)).unwrap();
    rig.lines(ACCEPTED, 1).await;
    user(&server, &[&remove(OLD)]).await;
    disconnect(&server).await;
    rig.more().await;
    // The user, too.
    send(&server, &["ACL", "SETUSER", "app2", "on", "~*", "+@all", &add(OLD)]).await;
    fs::write(rig.file("redis-url-file"), url(OLD).replace("//app:", "//app2:")).unwrap();
    rig.lines(ACCEPTED, 2).await;
    // Ends the connections of the user.
    send(&server, &["ACL", "DELUSER", "app"]).await;
    rig.more().await;
    let hits = redis.number("hits").await;
    rig.finish(hits).await;
}

#[tokio::test]
async fn a_file_that_is_ahead_of_redis_or_damaged_changes_nothing_under_load() {
    let redis = Redis::start().await;
    let server = format!("127.0.0.1:{}", redis.port());
    let url = |password: &str| format!("redis://app:{password}@{server}");
    user(&server, &["on", "~*", "+@all", &add(OLD)]).await;
    let mut rig = Rig::start(&[("redis-url-file", &url(OLD))], &[]).await;
    let file = rig.file("redis-url-file");
    fs::write(&file, url(NEW)).unwrap();
    rig.lines("the login in the changed files is refused; the previous one is still used", 1).await;
    disconnect(&server).await;
    rig.more().await;
    user(&server, &[&add(NEW), &remove(OLD)]).await;
    rig.replica.process.hang_up();
    rig.lines(ACCEPTED, 1).await;
    disconnect(&server).await;
    rig.more().await;

    let other = url(NEW).replace(&server, "127.0.0.1:1");
    for (count, content) in [(1, ""), (2, "redis://:"), (3, other.as_str())] {
        fs::write(&file, content).unwrap();
        rig.lines("their previous contents stay in use", count).await;
        disconnect(&server).await;
        rig.more().await;
    }
    rig.lines("they name another Redis", 1).await;
    fs::remove_file(&file).unwrap();
    rig.lines("cannot be read", 1).await;
    disconnect(&server).await;
    rig.more().await;
    let hits = redis.number("hits").await;
    rig.finish(hits).await;
}

#[tokio::test]
async fn the_passwords_of_servers_and_sentinels_are_replaced_under_load_and_no_visit_fails() {
    let group = Group::start().await;
    group.until_settled().await;
    let servers = group.servers.iter().map(|server| format!("127.0.0.1:{}", server.port()));
    let all: Vec<String> =
        servers.chain(group.sentinels.iter().map(|sentinel| sentinel.address().to_string())).collect();
    for address in &all {
        user(address, &["on", "~*", "&*", "+@all", &add(OLD)]).await;
    }
    let logins = ["redis-user-file", "sentinel-user-file"].map(|name| (name, "app"));
    let passwords = ["redis-password-file", "sentinel-password-file"];
    let files = [logins, passwords.map(|name| (name, OLD))].concat();
    let mut rig = Rig::start(&files, &["--redis-sentinels", &group.list()]).await;
    for address in &all {
        user(address, &[&add(NEW)]).await;
    }
    for name in passwords {
        fs::write(rig.file(name), format!("{NEW}\n")).unwrap();
    }
    rig.replica.process.hang_up();
    rig.lines(ACCEPTED, 2).await;
    for address in &all {
        user(address, &[&remove(OLD)]).await;
        disconnect(address).await;
        rig.more().await;
    }
    let hits = group.servers[0].number("hits").await;
    rig.finish(hits).await;
}

#[tokio::test]
async fn a_hangup_ends_no_program() {
    let folder = tempfile::tempdir().unwrap();
    let data = |name: &str| format!("--data={}", folder.path().join(name).display());
    let url = folder.path().join("url");
    fs::write(&url, "redis://127.0.0.1:1").unwrap();
    let url = format!("--redis-url-file={}", url.display());
    let (any, docker) = ("--listen=127.0.0.1:0", "--docker=tcp://127.0.0.1:1");
    let (app_data, local_data, demo_data) = (data("app"), data("local"), data("stackdemo"));
    let local = [local_data.as_str(), any, "--edge=127.0.0.1:0", "--admin=127.0.0.1:0", "--replicas=1", "--log=info"];
    let edge = ["edge", "run", any, "--admin=127.0.0.1:0", "--to=127.0.0.1:1"];
    // What each logs when it runs, and after the signal.
    let programs: [(&str, &[&str], &str, &str); 9] = [
        ("app", &[any, &app_data], "listening", "nothing to reload"),
        ("app", &[any, &url], "listening", ""),
        ("watch", &[any, docker], "listening", "cannot reload"),
        ("watch", &[any, docker, &url], "listening", "cannot reload"),
        ("edge", &edge[1..], "status page", "configuration is in use"),
        ("local", &local, "Ctrl-C", "nothing to reload"),
        ("stackdemo", &["app", any, &demo_data], "listening", "nothing to reload"),
        ("stackdemo", &["watch", any, docker], "listening", "cannot reload"),
        ("stackdemo", &edge, "status page", "configuration is in use"),
    ];
    for (name, arguments, running, after) in programs {
        let mut process = Process::ours(name).args(arguments).start();
        process.line(running).await;
        process.hang_up();
        process.line(after).await;
        process.hang_up();
        process.terminate();
        assert_eq!(process.exit(SOON).await.code(), Some(0), "{name} {arguments:?}: {:?}", process.lines());
    }
}
