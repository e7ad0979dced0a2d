//! The process: what it is told, its log, signals and exit code.
//!
//! Exit codes: 0 after a signal and a drain; 1 when it cannot run, or gets a second signal; 2 when a setting
//! is wrong, before anything is opened.

mod run;

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use process::{CANNOT_RUN, WRONG_SETTING};
use tokio::runtime::Builder;

use crate::{
    alert,
    config::{self, Command, Config, ConfigError, Flags},
    error::chain,
};

/// Watches until a signal comes; the name of the program is the first of its arguments. Reads this process's
/// variables, and takes its log, panics and signals over.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let flags = match Flags::of_process(arguments) {
        Ok(flags) => flags,
        Err(usage) => return process::usage(&usage),
    };
    if flags.command == Some(Command::Healthcheck) {
        return match config::listen(&flags).map(process::healthcheck) {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(error)) => fail(&error, CANNOT_RUN),
            Err(error) => refuse(&error),
        };
    }
    let config = match Config::parse(&flags, |path| std::fs::read(path)) {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    match flags.command {
        Some(Command::Check) => {
            for warning in &config.alerts.warnings {
                drop(writeln!(io::stderr(), "watch: warning: {warning}"));
            }
            // With stdout closed, the code must do.
            drop(writeln!(io::stdout(), "{config}"));
            ExitCode::SUCCESS
        }
        Some(Command::TestAlert) => test_alert(&config.alerts),
        Some(Command::Healthcheck) | None => match run::start(config) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(error = %chain(&*error), "cannot run");
                ExitCode::from(CANNOT_RUN)
            }
        },
    }
}

/// Sends a message through every channel, and tells how each went.
fn test_alert(settings: &alert::Settings) -> ExitCode {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, CANNOT_RUN),
    };
    match runtime.block_on(alert::test(settings)) {
        Ok(report) => {
            drop(write!(io::stdout(), "{report}"));
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(CANNOT_RUN) }
        }
        Err(error) => process::fail("watch", &error, CANNOT_RUN),
    }
}

fn refuse(error: &ConfigError) -> ExitCode {
    fail(error, WRONG_SETTING)
}

/// Tells what is wrong before there are logs.
fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    process::fail("watch", &chain(error), code)
}
