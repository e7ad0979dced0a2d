//! A real engine for a test to freeze, kill and restart.
//!
//! It has its own namespaces for processes, mounts, network and host name, so that it leaves nothing behind and does
//! not affect the machine's own engine. Tasks have no network, so it needs no firewall rules.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::process::Process;
use crate::wait::eventually;

/// The time limit for an engine to start, which is slow on a busy machine.
const START: Duration = Duration::from_secs(90);

/// An engine. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Dockerd {
    process: Process,
    /// Removed after the process that writes to it has ended.
    folder: TempDir,
}

/// Returns why no engine can be started here; `None` if one can.
#[must_use]
pub fn obstacle() -> Option<&'static str> {
    let found = |program: &str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|path| path.join(program).is_file())
    };
    if !geteuid().is_root() {
        return Some("only root can start an engine");
    }
    (!found("dockerd") || !found("docker")).then_some("dockerd and docker are not installed (docker.io)")
}

impl Dockerd {
    /// Starts an engine that is not in a swarm.
    ///
    /// # Panics
    /// If it does not respond.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let mut engine = Self { process: spawn(folder.path()), folder };
        engine.ready().await;
        engine
    }

    /// Returns its URL, as for `--docker`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    /// Runs the Docker client on it and returns the output.
    ///
    /// # Panics
    /// If the client fails.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = self.client().args(arguments).output().expect("a Docker client");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Creates an image of one self-contained program.
    ///
    /// # Panics
    /// If the import fails.
    pub fn import(&self, program: &Path, image: &str) {
        let name = program.file_name().expect("a file");
        let mut tar = Command::new("tar")
            .arg("-C")
            .arg(program.parent().expect("a folder"))
            .arg("-c")
            .arg(name)
            .stdout(Stdio::piped())
            .spawn()
            .expect("tar");
        let archive = tar.stdout.take().expect("piped");
        let output = self.client().args(["import", "-", image]).stdin(archive).output().expect("a Docker client");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(tar.wait().expect("tar").success(), "tar failed");
    }

    /// Suspends it with all connections open.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes it.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills it and its containers, as `kill -9` does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Restarts it with its data.
    ///
    /// # Panics
    /// If it does not respond.
    pub async fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(self.folder.path());
        self.ready().await;
    }

    fn client(&self) -> Command {
        let mut command = Command::new("docker");
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.env("HOME", self.folder.path()).args(["--host", &self.url()]);
        command
    }

    /// Sends a signal to the engine itself: the only child of the process that created its namespaces.
    fn signal(&self, signal: Signal) {
        let parent = self.process.pid().as_raw_nonzero();
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).expect("its process");
        let child = children.split_whitespace().next().and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
        kill_process(child.expect("the engine runs"), signal).expect("our own child can be signalled");
    }

    async fn ready(&mut self) {
        let client = || self.client().arg("version").output().is_ok_and(|output| output.status.success());
        eventually("a response of the engine", START, async || client()).await;
    }
}

fn spawn(folder: &Path) -> Process {
    let script = "ip link set lo up && hostname engine && mount --make-rprivate / && exec dockerd \
        --data-root \"$0/data\" --exec-root \"$0/exec\" --pidfile \"$0/pid\" --host \"unix://$0/socket\" \
        --iptables=false --bridge=none --log-level warn";
    for name in ["pid", "exec/containerd/containerd.pid"] {
        // Left behind by a killed process, whose id another process may have by now.
        drop(std::fs::remove_file(folder.join(name)));
    }
    Process::of("unshare")
        .args(["--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--net", "--uts"])
        .args(["sh", "-c", script])
        .arg(folder)
        .start()
}

/// Builds the program that tasks run. With `exit CODE` it ends; by default it sleeps.
///
/// # Panics
/// If there is no compiler, or no static C library.
#[must_use]
pub fn program(folder: &Path) -> std::path::PathBuf {
    let source = br#"
        fn main() {
            let mut arguments = std::env::args().skip(1);
            match arguments.next().as_deref() {
                Some("exit") => std::process::exit(arguments.next().map_or(0, |code| code.parse().unwrap_or(1))),
                Some("check") => {}
                _ => loop { std::thread::sleep(std::time::Duration::from_secs(3600)) },
            }
        }
    "#;
    let program = folder.join("tiny");
    // Linked statically, because its image has no libraries.
    let mut compiler = Command::new("rustc")
        .args(["-C", "target-feature=+crt-static", "-O", "--crate-name", "tiny", "-o"])
        .arg(&program)
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("rustc");
    compiler.stdin.take().expect("piped").write_all(source).expect("rustc reads");
    let output = compiler.wait_with_output().expect("rustc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}
