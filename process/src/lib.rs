//! What every program of this workspace does around its work: exit codes, last words, the log, the limit
//! of open files. For `main` only: these are the things that belong to a process and not to a library.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::warn;
use tracing_subscriber::EnvFilter;

/// The exit code of a program that cannot do its work.
pub const CANNOT_RUN: u8 = 1;
/// The exit code for a wrong flag, variable or file, before anything was opened. As clap has it.
pub const WRONG_SETTING: u8 = 2;

/// Tells on stderr, after the program's name, why it ends. For before there is a log.
pub fn fail(program: &str, why: &dyn Display, code: u8) -> ExitCode {
    // With stderr closed, the code must do.
    drop(writeln!(io::stderr(), "{program}: {why}"));
    ExitCode::from(code)
}

/// Ends on what clap has to say: wrong usage, but also `--help` and `--version`.
#[must_use]
pub fn usage(said: &clap::Error) -> ExitCode {
    drop(said.print());
    u8::try_from(said.exit_code()).map_or(ExitCode::from(WRONG_SETTING), ExitCode::from)
}

/// Starts the log on stderr: text for a person at a terminal, JSON for whatever else collects it.
pub fn log_to_stderr(filter: EnvFilter) {
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).init();
    }
}

/// Allows as many open files as `wanted` and the process's own few; container engines start processes
/// with 1024. Warns where that is not allowed.
pub fn raise_file_limit(wanted: usize) {
    // Listeners, logs, the runtimes and the like.
    const OTHERS: u64 = 256;
    let wanted = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let mut limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < wanted) else { return };
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    limit.current = Some(allowed);
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, current, wanted, "cannot raise the limit of open files");
    } else if allowed < wanted {
        warn!(allowed, wanted, "few open files are allowed: connections may be refused");
    }
}
