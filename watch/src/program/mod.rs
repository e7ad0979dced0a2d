//! The process: what it is told, its log, signals and exit code.
//!
//! Exit codes: 0 after a signal and a drain; 1 when it cannot run, or gets a second signal; 2 when a setting
//! is wrong, before anything is opened.

mod run;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use process::{CANNOT_RUN, WRONG_SETTING};

use crate::{
    config::{self, Command, Config, ConfigError, Flags},
    error::chain,
};

/// All of the program.
#[must_use]
pub fn main() -> ExitCode {
    let flags = match Flags::of_process() {
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
    if flags.command == Some(Command::Check) {
        // With stdout closed, the code must do.
        drop(writeln!(io::stdout(), "{config}"));
        return ExitCode::SUCCESS;
    }
    match run::start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %chain(&*error), "cannot run");
            ExitCode::from(CANNOT_RUN)
        }
    }
}

fn refuse(error: &ConfigError) -> ExitCode {
    fail(error, WRONG_SETTING)
}

/// Tells what is wrong before there are logs.
fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    process::fail("watch", &chain(error), code)
}
