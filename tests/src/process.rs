//! Processes that a test starts, watches and signals, and that never outlive it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{SOON, eventually_some, try_eventually};

/// The program `name` of this workspace, such as "app", built beside the test itself.
///
/// # Panics
/// When it was not built; the message says how to build it.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the program's own path");
    // target/<profile>/deps/<test>, and the programs, one of which this may be, in target/<profile>.
    let folder = own.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).expect("a target directory");
    let path = folder.join(name);
    assert!(path.is_file(), "{} is missing: build it with `cargo build --workspace --bins`", path.display());
    path
}

/// What to start. Made by [`Process::of`].
#[derive(Debug)]
pub struct Plan {
    name: String,
    command: Command,
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

    /// Sets an environment variable. Besides these a process gets only `PATH`.
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

    /// Starts the process. It also ends with the thread that calls this, so call it from the test or its
    /// runtime's workers, not from `spawn_blocking`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(mut self) -> Process {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
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

/// A running process. Dropping it kills it and waits until it is gone.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Lines,
}

impl Process {
    /// A plan to run `program`, a path or a name to look up in `PATH`.
    #[must_use]
    pub fn of(program: impl AsRef<OsStr>) -> Plan {
        let program = program.as_ref();
        // A test that is killed drops nothing, so the kernel ends its processes: each when the thread that started it
        // ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program);
        command.env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        Plan { name: program.to_string_lossy().into_owned(), command }
    }

    /// A plan to run our own `name`; see [`binary`].
    ///
    /// # Panics
    /// When it was not built.
    #[must_use]
    pub fn ours(name: &str) -> Plan {
        Self::of(binary(name))
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal. A process that has ended already is left alone.
    pub fn signal(&mut self, signal: Signal) {
        // Reaping it here rules out that another process has its id.
        if self.exited().is_none() {
            kill_process(self.pid(), signal).expect("our own child can be signalled");
        }
    }

    /// Asks it to end: SIGTERM.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to reload: SIGHUP.
    pub fn hang_up(&mut self) {
        self.signal(Signal::HUP);
    }

    /// Suspends it with all connections open: SIGSTOP.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Resumes a frozen process: SIGCONT.
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Ends it at once, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("our own child can be waited for");
    }

    /// How it ended, or `None` while it runs.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child can be waited for")
    }

    /// Waits until it ends on its own.
    ///
    /// # Panics
    /// When it still runs after `within`.
    pub async fn exit(&mut self, within: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        eventually_some(&what, within, async || self.exited()).await
    }

    /// The lines that it has written so far to standard output and standard error.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.all()
    }

    /// Waits until it writes a line that contains `part`, and returns the first such line.
    ///
    /// # Panics
    /// When it does not within [`SOON`], or ends first; the message contains all that it wrote.
    pub async fn line(&mut self, part: &str) -> String {
        let found = try_eventually(SOON, async || {
            // Checked before the lines, so that a line written in between is still found.
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

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a process wrote, filled by one thread per stream until the stream ends.
#[derive(Clone, Debug, Default)]
struct Lines {
    all: Arc<Mutex<Vec<String>>>,
    /// Streams that have not ended.
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
