//! The processes that the benchmark starts, pins, and always ends.

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

/// The ids of running processes. Read when the benchmark is interrupted.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A running process. Dropping it ends the process and waits for its exit.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `command` on the cores `cpus`, its output going to the file `log`.
    pub(crate) fn start(name: &str, cpus: &str, command: &Command, log: &Path) -> Result<Self> {
        let output = File::create(log)?;
        // Both replace themselves with the program, so the process id is its own. If the benchmark is
        // killed, the kernel sends the program SIGTERM.
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
        running(|all| all.push(child.id()));
        Ok(Self { name: name.to_owned(), child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time used so far, in nanoseconds.
    pub(crate) fn cpu(&self) -> Result<u64> {
        cpu::time(self.pid())
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Waits until it ends by itself.
    pub(crate) fn exit(&mut self, within: Duration) -> Result<()> {
        let deadline = Instant::now() + within;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("{} did not end within {within:?}", self.name);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = self.child.id();
        if !self.has_ended() {
            let family = cpu::family(pid);
            // SIGTERM first: nginx's master then ends its workers.
            self.signal(Signal::TERM).ok();
            if self.exit(Duration::from_millis(500)).is_err() {
                end(&family);
                self.child.wait().ok();
            }
        }
        running(|all| all.retain(|other| *other != pid));
    }
}

/// Ends the proxies and removes the files when the benchmark is interrupted.
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
    running(|all| {
        for pid in all.iter() {
            end(&cpu::family(*pid));
        }
    });
}

fn end(family: &[u32]) {
    for pid in family {
        if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::KILL).ok();
        }
    }
}

fn running(change: impl FnOnce(&mut Vec<u32>)) {
    change(&mut RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
}
