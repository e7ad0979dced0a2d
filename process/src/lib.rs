//! What every program of this workspace does around its work: exit codes, last words, the log, signals,
//! the limit of open files, the health check, completions and manual pages. For `main` only: these are the things that belong to a process and not to a library.

mod chain;
mod healthcheck;
mod manual;
mod stops;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt::Display,
    io::{self, IsTerminal, Write},
    panic::{self, PanicHookInfo},
    process::ExitCode,
    thread,
};

use rustix::process::{Resource, getrlimit, setrlimit};
use tracing::warn;
use tracing_subscriber::EnvFilter;

pub use self::{
    chain::chain,
    healthcheck::healthcheck,
    manual::{Completions, Man},
    stops::Stops,
};

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

/// Takes an empty variable for one that is not set, as compose files leave it: `NAME: ${NAME:-}`. For a
/// command before it parses.
#[must_use]
pub fn without_empty_variables(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| match arg.get_env().and_then(std::env::var_os) {
        Some(value) if value.is_empty() => arg.env(None),
        _ => arg,
    })
}

/// Starts the log on stderr: text for a person at a terminal, JSON for whatever else collects it. Panics
/// are logged, too.
pub fn log_to_stderr(filter: EnvFilter) {
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).init();
    }
    panic::set_hook(Box::new(log_panic));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = thread::current();
    let backtrace = Backtrace::capture();
    // Only with RUST_BACKTRACE, as always.
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(
        location,
        thread = thread.name(),
        backtrace,
        reason = panic.payload_as_str().unwrap_or("no reason given"),
        "a panic, which is a bug"
    );
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use clap::{Arg, Command};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_logged_with_its_place_and_reason() {
        let written = Written::default();
        let writer = written.clone();
        let log = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        let before = panic::take_hook();
        panic::set_hook(Box::new(log_panic));
        let number = 7;
        let result = tracing::subscriber::with_default(log, || panic::catch_unwind(|| panic!("number {number}")));
        panic::set_hook(before);
        assert!(result.is_err());
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        for part in ["\"level\":\"ERROR\"", "\"reason\":\"number 7\"", "\"location\":\"process/src/lib.rs:"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn an_empty_variable_is_not_set_and_others_are() {
        // Cargo sets these two for its tests; the crate has no homepage.
        let arg = |name| Arg::new(name).long(name).env(name).default_value("default");
        let command = Command::new("test").args(["CARGO_PKG_HOMEPAGE", "CARGO_PKG_NAME"].map(arg));
        let matches = without_empty_variables(command).try_get_matches_from(["test"]).unwrap();
        let value = |name| matches.get_one::<String>(name).unwrap().as_str();
        assert_eq!(value("CARGO_PKG_HOMEPAGE"), "default");
        assert_eq!(value("CARGO_PKG_NAME"), "process");
    }
}
