//! deploy/redis.sh and deploy/sentinel.sh with real servers.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tests::port;
use tests::process::Process;
use tests::wait::{SOON, eventually, throughout};

/// Three servers and three sentinels that the scripts start.
pub(super) struct ScriptedGroup {
    pub(super) ports: [u16; 3],
    pub(super) sentinels: [u16; 3],
    /// Of the servers and then of the sentinels.
    pub(super) folders: [tempfile::TempDir; 6],
}

impl ScriptedGroup {
    pub(super) fn new() -> Self {
        let ports = || std::array::from_fn(|_| port::free());
        Self { ports: ports(), sentinels: ports(), folders: std::array::from_fn(|_| tempfile::tempdir().unwrap()) }
    }

    fn start(&self, script: &str, port: u16, folder: &Path, options: &[&str]) -> Process {
        let script = format!("{}/../deploy/{script}", env!("CARGO_MANIFEST_DIR"));
        let sentinels = self.sentinels.map(|port| format!("127.0.0.1:{port}")).join(" ");
        Process::of("sh")
            .arg(script)
            .args(["--appendonly", "yes", "--appendfsync", "always", "--repl-diskless-sync-delay", "0", "--save", ""])
            .args(options)
            .env("SELF", format!("127.0.0.1:{port}"))
            .env("FIRST", format!("127.0.0.1:{}", self.ports[0]))
            .env("SENTINELS", sentinels)
            .env("MASTER", "counter")
            .env("DOWN_AFTER", "1000")
            .env("FAILOVER_TIMEOUT", "5000")
            .current_dir(folder)
            .start()
    }

    pub(super) fn server(&self, index: usize) -> Process {
        self.server_with(index, &[])
    }

    pub(super) fn server_with(&self, index: usize, options: &[&str]) -> Process {
        self.start("redis.sh", self.ports[index], self.folders[index].path(), options)
    }

    pub(super) fn sentinel(&self, index: usize) -> Process {
        self.start("sentinel.sh", self.sentinels[index], self.folders[index + 3].path(), &[])
    }

    /// Starts all, and waits until they form one group with a count of 7.
    pub(super) async fn start_all(&self) -> (Vec<Process>, Vec<Process>) {
        let sentinels = (0..3).map(|index| self.sentinel(index)).collect();
        let mut servers: Vec<_> = (0..3).map(|index| self.server(index)).collect();
        servers[0].line("starting as master").await;
        for server in &mut servers[1..] {
            server.line("starting as --replicaof").await;
        }
        for port in self.sentinels {
            eventually("a sentinel that sees all others and two replicas", SOON, async || {
                let (master, replicas) = (["SENTINEL", "MASTER", "counter"], ["SENTINEL", "REPLICAS", "counter"]);
                let replicas = ask(port, &replicas).await;
                ask(port, &master).await.contains("num-other-sentinels\n2")
                    && replicas.matches("flags\nslave\n").count() == 2
                    && replicas.matches("master-link-status\nok\n").count() == 2
            })
            .await;
        }
        for number in 0..20 {
            ask(self.ports[0], &["SET", &format!("key{number}"), "a value"]).await;
        }
        ask(self.ports[0], &["SET", "hits", "7"]).await;
        assert_eq!(ask(self.ports[0], &["WAIT", "2", "5000"]).await.trim(), "2");
        (sentinels, servers)
    }
}

/// Returns the files in which a server keeps its data: one before Redis 7.0, and a folder since.
pub(super) fn data(folder: &Path) -> PathBuf {
    ["appendonlydir", "appendonly.aof"].map(|name| folder.join(name)).into_iter().find(|path| path.exists()).unwrap()
}

/// Removes these files.
pub(super) fn lose(data: &Path) {
    if data.is_file() { fs::remove_file(data) } else { fs::remove_dir_all(data) }.unwrap();
}

/// Returns what redis-cli prints.
pub(super) async fn ask(port: u16, command: &[&str]) -> String {
    let output = tokio::process::Command::new("redis-cli").args(["-p", &port.to_string()]).args(command).output().await;
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[tokio::test]
async fn a_master_that_returns_empty_waits_for_its_successor_and_wipes_no_replica() {
    let group = ScriptedGroup::new();
    let (_sentinels, mut servers) = group.start_all().await;
    servers[0].kill();
    lose(&data(group.folders[0].path()));
    servers[0] = group.server(0);
    servers[0].line("starting as --replicaof").await;
    for port in group.ports {
        eventually("the count", SOON, async || ask(port, &["GET", "hits"]).await.trim() == "7").await;
    }
}

/// A swarm publishes a task's name once the task is healthy, and the health check depends on this file.
#[tokio::test]
async fn a_server_whose_name_does_not_resolve_yet_creates_the_file_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("{}/../deploy/redis.sh", env!("CARGO_MANIFEST_DIR"));
    let _server = Process::of("sh").arg(script).env("SELF", "unknown.invalid:6379").current_dir(folder.path()).start();
    eventually("a server that waits", SOON, async || folder.path().join("waiting").exists()).await;
}

#[tokio::test]
async fn an_empty_master_does_not_start_while_sentinels_do_not_say_whether_it_has_replicas() {
    let (programs, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let port = port::free();
    let client = programs.path().join("redis-cli");
    let names_it = format!(
        "#!/bin/sh\ncase $* in *GET-MASTER-ADDR-BY-NAME*) printf '127.0.0.1\\n{port}\\n' ;; *) exit 1 ;; esac\n"
    );
    fs::write(&client, names_it).unwrap();
    fs::set_permissions(&client, Permissions::from_mode(0o755)).unwrap();
    let mut server = Process::of("sh")
        .arg(format!("{}/../deploy/redis.sh", env!("CARGO_MANIFEST_DIR")))
        .env("PATH", format!("{}:{}", programs.path().display(), std::env::var("PATH").unwrap()))
        .env("SELF", format!("127.0.0.1:{port}"))
        .env("SENTINELS", "127.0.0.1:1 127.0.0.1:2 127.0.0.1:3")
        .env("MASTER", "counter")
        .current_dir(folder.path())
        .start();
    server.line("waiting for the sentinels: 3 name this server, 0 another").await;
}

#[tokio::test]
async fn a_server_waits_for_the_sentinels() {
    let group = ScriptedGroup::new();
    let mut server = group.server(0);
    server.line("waiting for the sentinels").await;
    throughout("waiting", std::time::Duration::from_secs(1), async || {
        ask(group.ports[0], &["PING"]).await.trim() != "PONG"
    })
    .await;
    assert!(group.folders[0].path().join("waiting").exists(), "the health check sees it");
}
