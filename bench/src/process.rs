//! The processes that the benchmark starts and pins. All are terminated when it exits.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::cpu;

/// The ids of running processes, for an interrupted benchmark to kill.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A running process. Dropping it terminates the process and waits for its exit.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `command` on the cores `cpus` and writes its output to the file `log`.
    pub(crate) fn start(name: &str, cpus: &str, command: &Command, log: &Path) -> Result<Self> {
        let output = File::create(log)?;
        // Both wrappers exec, so the process id is the program's own. If the benchmark is killed, the kernel sends the
        // program SIGTERM.
        let mut wrapped = Command::new("setpriv");
        wrapped.args(["--pdeathsig", "TERM", "taskset", "--cpu-list", cpus]);
        wrapped.arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            if let Some(value) = value {
                wrapped.env(key, value);
            }
        }
        if let Some(directory) = command.get_current_dir() {
            wrapped.current_dir(directory);
        }
        wrapped.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = wrapped.spawn().with_context(|| format!("cannot start {name}"))?;
        with_running(|all| all.push(child.id()));
        Ok(Self { name: name.to_owned(), child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the CPU time used so far, in nanoseconds.
    pub(crate) fn cpu(&self) -> Result<u64> {
        cpu::time(self.pid())
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Waits until the process exits by itself.
    pub(crate) fn wait_for_exit(&mut self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("{} did not exit within {within:?}", self.name);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Whether the process has exited.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = self.child.id();
        if !self.has_ended() {
            let tree = cpu::process_tree(pid);
            // SIGTERM first: on it nginx's master terminates its workers.
            self.signal(Signal::TERM).ok();
            if self.wait_for_exit(Duration::from_millis(500)).is_err() {
                kill_all(&tree);
                self.child.wait().ok();
            }
        }
        with_running(|all| all.retain(|other| *other != pid));
    }
}

/// Kills the running processes, removes `files` and exits when the benchmark is interrupted.
pub(crate) fn end_on_interrupt(files: PathBuf) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (interrupt, terminate) = {
        let _guard = runtime.enter();
        use tokio::signal::unix::{SignalKind, signal};
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::spawn(move || {
        let (mut interrupt, mut terminate) = (interrupt, terminate);
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        end_all();
        fs::remove_dir_all(files).ok();
        std::process::exit(130);
    });
    Ok(())
}

fn end_all() {
    with_running(|all| {
        for pid in all.iter() {
            kill_all(&cpu::process_tree(*pid));
        }
    });
}

fn kill_all(tree: &[u32]) {
    for pid in tree {
        if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

fn with_running(change: impl FnOnce(&mut Vec<u32>)) {
    change(&mut RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
}
