//! What every program of this workspace does around its work: exit codes, the last error message, the log,
//! signals, inherited sockets, the limit of open files, the health check, completions and manual pages.
//!
//! Only a program's `main` uses it, since these belong to a process and not to a library. [`chain()`],
//! [`Errors`] and [`catch_panic`] are the exceptions.

mod arguments;
mod chain;
mod errors;
mod healthcheck;
mod inherited_sockets;
mod manual;
mod panics;
mod ready;
mod stop_signals;

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    num::NonZeroUsize,
    panic,
    process::ExitCode,
};

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::warn;
use tracing_subscriber::EnvFilter;

pub use self::{
    arguments::{check_usage, parse_flags},
    chain::chain,
    errors::Errors,
    healthcheck::healthcheck,
    inherited_sockets::{InheritError, InheritedSocket, inherited_sockets},
    manual::{Completions, Man},
    panics::catch_panic,
    ready::notify_ready,
    stop_signals::StopSignals,
};

/// The exit code of a program that cannot start or continue.
pub const CANNOT_RUN: u8 = 1;
/// The exit code for a wrong flag, variable or file, before anything was opened. clap uses the same.
pub const WRONG_SETTING: u8 = 2;

/// Writes the program's name and `why` to stderr and returns the exit code. For errors before there is a log.
pub fn fail(program: &str, why: &dyn Display, code: u8) -> ExitCode {
    // If stderr is closed, the code must suffice.
    drop(writeln!(io::stderr(), "{program}: {why}"));
    ExitCode::from(code)
}

/// Prints clap's message, which is an error, or the answer to `--help` or `--version`, and returns its exit code.
#[must_use]
pub fn usage(message: &clap::Error) -> ExitCode {
    drop(message.print());
    u8::try_from(message.exit_code()).map_or(ExitCode::from(WRONG_SETTING), ExitCode::from)
}

/// Starts the log on stderr: text at a terminal, JSON elsewhere. Panics are logged, too.
pub fn log_to_stderr(filter: EnvFilter) {
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).init();
    }
    panic::set_hook(Box::new(panics::log_panic));
}

/// The files that a process needs besides its connections: listeners, logs, runtimes and so on.
const OTHER_FILES: u64 = 256;

/// Raises the limit of open files so that `connections` connections with `each` files fit, besides the files that the
/// process itself needs; container engines start processes with 1024. Returns how many connections fit, at least 1 and
/// at most `connections`. If that is fewer, a warning says how to raise the limit; `setting` is what limits them.
#[must_use]
pub fn raise_file_limit(setting: &str, connections: NonZeroUsize, each: u32) -> NonZeroUsize {
    let wanted = u64::try_from(connections.get()).unwrap_or(u64::MAX).saturating_mul(u64::from(each));
    let wanted = wanted.saturating_add(OTHER_FILES);
    let mut limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < wanted) else { return connections };
    let mut allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    limit.current = Some(allowed);
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, current, wanted, "cannot raise the limit of open files");
        allowed = current;
    }
    let fit = fitting(allowed, connections, each);
    if fit < connections {
        warn!(
            "{setting} is lowered from {connections} to {fit}, because this process may open only {allowed} files: allow \
             it {wanted} (`ulimit -n`, LimitNOFILE= of systemd, `--ulimit nofile` of Docker)"
        );
    }
    fit
}

/// Returns how many of `connections` with `each` files fit in `files`. Of few files, the process itself gets a quarter.
fn fitting(files: u64, connections: NonZeroUsize, each: u32) -> NonZeroUsize {
    let room = files.saturating_sub(OTHER_FILES.min(files / 4)) / u64::from(each.max(1));
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    NonZeroUsize::new(room).unwrap_or(NonZeroUsize::MIN).min(connections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_connections_fit_as_there_are_files_left() {
        for (files, connections, each, expected) in [
            (40_256, 20_000, 2, 20_000),
            (40_255, 20_000, 2, 19_999),
            (1024, 20_000, 2, 384),
            (1024, 20_000, 1, 768),
            (1024, 10, 2, 10),
            (64, 20_000, 2, 24),
            (3, 20_000, 2, 1),
            (0, 20_000, 0, 1),
            (u64::MAX, usize::MAX, 1, usize::MAX - 256),
        ] {
            let fit = fitting(files, NonZeroUsize::new(connections).unwrap(), each).get();
            assert_eq!(fit, expected, "{connections} of {each} files in {files}");
        }
    }
}
