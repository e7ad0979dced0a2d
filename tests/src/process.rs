//! Processes that a test starts, observes and signals. They never outlive it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{SOON, eventually, eventually_some, try_eventually};

/// Returns the path of the workspace's program `name`, such as "app", which is built beside the test.
///
/// # Panics
/// If it was not built; the message says how to build it.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the program's own path");
    // Tests are in target/<profile>/deps, programs in target/<profile>.
    let folder = own.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).expect("a target directory");
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing: build it with `cargo build --workspace --bins`", path.display());
    path
}

/// A process to start; see [`Process::of`].
#[derive(Debug)]
pub struct Plan {
    name: String,
    command: Command,
    stdin: Stdio,
}

impl Plan {
    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable. The process gets these variables and `PATH`.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn current_dir(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Sets the standard input, which is empty otherwise.
    #[must_use]
    pub fn stdin(self, stdin: impl Into<Stdio>) -> Self {
        Self { stdin: stdin.into(), ..self }
    }

    /// Starts the process. It ends when the calling thread ends, so call this from the test or its runtime's workers,
    /// not from `spawn_blocking`.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(mut self) -> Process {
        self.command.stdin(self.stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot start {}: {error}", self.name),
        };
        let lines = Lines::default();
        lines.read(child.stdout.take().expect("piped"));
        lines.read(child.stderr.take().expect("piped"));
        Process { name: self.name, child, lines }
    }
}

/// A running process. Dropping it kills the process and waits for its end.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Lines,
}

impl Process {
    /// Plans to run `program`, which is a path or a name to look up in `PATH`.
    #[must_use]
    pub fn of(program: impl AsRef<OsStr>) -> Plan {
        let program = program.as_ref();
        // A killed test drops nothing. The kernel then kills each of its processes when the thread that started it
        // ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program);
        command.env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        Plan { name: program.to_string_lossy().into_owned(), command, stdin: Stdio::null() }
    }

    /// Plans to run the workspace's program `name`; see [`binary`].
    ///
    /// # Panics
    /// If it was not built.
    #[must_use]
    pub fn ours(name: &str) -> Plan {
        Self::of(binary(name))
    }

    /// Returns the process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal, unless the process has ended.
    pub fn signal(&mut self, signal: Signal) {
        // An unreaped process keeps its id, so no other process can receive the signal.
        if self.exited().is_none() {
            kill_process(self.pid(), signal).expect("a child can be signalled");
        }
    }

    /// Sends SIGTERM.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Sends SIGHUP.
    pub fn hang_up(&mut self) {
        self.signal(Signal::HUP);
    }

    /// Suspends the process (SIGSTOP), and waits until all of its threads have stopped. Its connections stay open.
    ///
    /// # Panics
    /// They do not stop.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
        let threads = format!("/proc/{}/task", self.child.id());
        let began = std::time::Instant::now();
        while !are_stopped(&threads) {
            assert!(began.elapsed() < SOON, "the process does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Resumes a suspended process (SIGCONT).
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Kills the process (SIGKILL) and waits for its end.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("a child can be waited for");
    }

    /// Returns the exit status, or `None` while the process runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits until the process ends by itself.
    ///
    /// # Panics
    /// If it still runs after `within`.
    pub async fn exit(&mut self, within: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        eventually_some(&what, within, async || self.exited()).await
    }

    /// Waits until the process ends by itself and all that it wrote is read. Returns the exit status and the output.
    ///
    /// # Panics
    /// If it still runs after `within`, or another process keeps its streams open.
    pub async fn output(&mut self, within: Duration) -> (ExitStatus, String) {
        let status = self.exit(within).await;
        let what = format!("the end of {}'s output", self.name);
        eventually(&what, SOON, async || self.lines.is_complete()).await;
        (status, self.lines().join("\n"))
    }

    /// Returns the lines written so far to standard output and standard error.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.all()
    }

    /// Waits for a line that contains `part`, and returns the first such line.
    ///
    /// # Panics
    /// If there is none within [`SOON`] or before the process ends; the message contains the whole output.
    pub async fn line(&mut self, part: &str) -> String {
        let found = try_eventually(SOON, async || {
            // The end is checked before the lines, so that a line written between the two checks is found.
            let ended = if self.lines.is_complete() { self.exited() } else { None };
            match self.lines.find(part) {
                Some(line) => Some(Ok(line)),
                None => ended.map(|status| Err(status.to_string())),
            }
        });
        match found.await {
            Some(Ok(line)) => line,
            Some(Err(status)) => self.fail(part, &status),
            None => self.fail(part, "still running"),
        }
    }

    fn fail(&self, part: &str, state: &str) -> ! {
        let written = self.lines().join("\n");
        panic!("{} ({state}) wrote no line with {part:?}:\n{written}", self.name)
    }
}

/// Whether all threads of this folder of /proc are stopped.
fn are_stopped(threads: &str) -> bool {
    let threads = std::fs::read_dir(threads).into_iter().flatten().flatten();
    // "PID (NAME) STATE ..."; the name may contain anything.
    let is_stopped = |stat: String| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'));
    threads.into_iter().all(|thread| std::fs::read_to_string(thread.path().join("stat")).is_ok_and(is_stopped))
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The output of a process. One thread reads each stream until it ends.
#[derive(Clone, Debug, Default)]
struct Lines {
    all: Arc<Mutex<Vec<String>>>,
    /// The number of streams that have not ended.
    open: Arc<AtomicUsize>,
}

impl Lines {
    fn read(&self, stream: impl Read + Send + 'static) {
        self.open.fetch_add(1, Ordering::SeqCst);
        let lines = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                lines.all.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
            lines.open.fetch_sub(1, Ordering::SeqCst);
        });
    }

    fn is_complete(&self) -> bool {
        self.open.load(Ordering::SeqCst) == 0
    }

    fn all(&self) -> Vec<String> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn find(&self, part: &str) -> Option<String> {
        self.all().into_iter().find(|line| line.contains(part))
    }
}
