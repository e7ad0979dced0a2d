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

use clap::CommandFactory;
use process::{CANNOT_RUN, WRONG_SETTING, chain};
use tokio::runtime::Builder;

use crate::{
    alert,
    config::{self, Command, Config, ConfigError, Flags},
};

/// Watches until a signal comes; the name of the program is the first of its arguments. Reads this process's
/// variables, and takes its log, panics and signals over.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let flags = match Flags::of_process(arguments) {
        Ok(flags) => flags,
        Err(usage) => return process::usage(&usage),
    };
    match &flags.command {
        Some(Command::Healthcheck) => healthcheck(&flags),
        Some(Command::Completions(completions)) => completions.print(Flags::command()),
        Some(Command::Man(man)) => man.write(Flags::command()),
        Some(Command::Check) => with_config(&flags, |config| check(&config)),
        Some(Command::TestAlert) => with_config(&flags, |config| test_alert(&config.alerts)),
        None => with_config(&flags, watch),
    }
}

/// Does `work` with the settings in force, or reports what is wrong with them.
fn with_config(flags: &Flags, work: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match Config::parse(flags, |path| std::fs::read(path)) {
        Ok(config) => work(config),
        Err(error) => refuse(&error),
    }
}

fn watch(config: Config) -> ExitCode {
    match run::start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = %chain(&*error), "cannot run");
            ExitCode::from(CANNOT_RUN)
        }
    }
}

/// Prints the settings in force.
fn check(config: &Config) -> ExitCode {
    for warning in &config.alerts.warnings {
        drop(writeln!(io::stderr(), "watch: warning: {warning}"));
    }
    // If stdout is closed, the exit code is enough.
    drop(writeln!(io::stdout(), "{config}"));
    ExitCode::SUCCESS
}

/// Asks the watch of this machine whether it is alive.
fn healthcheck(flags: &Flags) -> ExitCode {
    match config::listen(flags).map(process::healthcheck) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(&error, CANNOT_RUN),
        Err(error) => refuse(&error),
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
