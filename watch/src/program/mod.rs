//! The process: arguments, log, signals and exit code.
//!
//! Exit codes: 0 after a signal and a graceful shutdown; 1 if it cannot run or receives a second signal; 2 if a
//! setting is invalid, before anything is opened.

mod run;

use std::{
    ffi::OsString,
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use clap::CommandFactory;
use process::{CANNOT_RUN, WRONG_SETTING, chain};
use tokio::runtime::Builder;

use crate::{
    alert,
    config::{self, Command, Config, Flags},
};

/// Runs the program until a signal arrives; the first argument is the name of the program. Reads the environment
/// and takes over the log, panics and signals of this process.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let flags = match Flags::of_process(arguments, problems) {
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

/// Returns what is wrong with the values of flags beside wrong usage.
fn problems(flags: &Flags) -> Vec<String> {
    match flags.command {
        None | Some(Command::Check | Command::TestAlert) => {
            let errors = Config::parse(flags, |path| std::fs::read(path)).err();
            errors.into_iter().flatten().map(|error| chain(&error).to_string()).collect()
        }
        Some(_) => Vec::new(),
    }
}

/// Calls `run` with the configuration, or reports why it is invalid.
fn with_config(flags: &Flags, run: impl FnOnce(Config) -> ExitCode) -> ExitCode {
    match Config::parse(flags, |path| std::fs::read(path)) {
        Ok(config) => run(config),
        Err(errors) => fail(&errors, WRONG_SETTING),
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

/// Prints the settings in effect.
fn check(config: &Config) -> ExitCode {
    for warning in &config.alerts.warnings {
        drop(writeln!(io::stderr(), "watch: warning: {warning}"));
    }
    // If stdout is closed, the exit code is enough.
    drop(writeln!(io::stdout(), "{config}"));
    ExitCode::SUCCESS
}

/// Asks the watch on this machine whether it is alive.
fn healthcheck(flags: &Flags) -> ExitCode {
    match config::listen(flags).map(process::healthcheck) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(&chain(&error), CANNOT_RUN),
        Err(error) => fail(&error, WRONG_SETTING),
    }
}

/// Sends a test message through every channel and prints the results.
fn test_alert(settings: &alert::Settings) -> ExitCode {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&chain(&error), CANNOT_RUN),
    };
    match runtime.block_on(alert::test(settings)) {
        Ok(report) => {
            drop(write!(io::stdout(), "{report}"));
            if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(CANNOT_RUN) }
        }
        Err(error) => fail(&error, CANNOT_RUN),
    }
}

/// Reports why the program ends, before logging is set up.
fn fail(why: &dyn Display, code: u8) -> ExitCode {
    process::fail("watch", why, code)
}
