//! The edge's process: command line, log, signals, exit code. The program `edge` is this and nothing else; it is also
//! one role of the image's program.

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
    thread,
};

use process::{CANNOT_RUN, StopSignals, WRONG_SETTING};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};
use tracing_subscriber::EnvFilter;

use crate::{
    config::{
        Config, file,
        flags::{self, Healthcheck, Lookup, Settings},
        problem::Loaded,
    },
    control::{self, Command, Edge, StartError},
    dns_check::{self, flags::NameCheck},
};

/// Runs the command of the arguments, the first of which is the name of the program. Reads the environment, and takes
/// over the process's log, panics and signals.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    match flags::parse(arguments, env::vars_os()) {
        Ok(flags::Command::Run(settings)) => run(settings),
        Ok(flags::Command::Check(settings)) => check(&settings),
        Ok(flags::Command::Healthcheck(healthcheck)) => ask(&healthcheck),
        Ok(flags::Command::Dns(lookup)) => look_up(&lookup),
        Ok(flags::Command::Completions(completions)) => completions.print(flags::command()),
        Ok(flags::Command::Man(man)) => man.write(flags::command()),
        Err(usage) => process::usage(&usage),
    }
}

fn run(settings: Settings) -> ExitCode {
    let loaded = match settings.load() {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error, WRONG_SETTING),
    };
    match EnvFilter::try_new(settings.log()) {
        Ok(filter) => process::log_to_stderr(filter),
        Err(error) => return fail(&format!("--log: {error}"), WRONG_SETTING),
    }
    let config = log_warnings(loaded);
    // One file for the client's connection and one for the endpoint's.
    process::raise_file_limit(config.limits.max_connections.get().saturating_mul(2));
    // Before anything is bound: an early signal must not kill the process.
    let signals = match Signals::watch() {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("cannot watch for signals: {error}"), CANNOT_RUN),
    };
    let edge = match Edge::bind(config) {
        Ok(edge) => edge,
        Err(error @ (StartError::Tls(_) | StartError::Token(_) | StartError::AccessLog(_))) => {
            return fail(&error, WRONG_SETTING);
        }
        Err(error) => return fail(&error, CANNOT_RUN),
    };
    for address in edge.addresses() {
        tracing::info!(%address, "listening");
    }
    if let Some(address) = edge.admin_address() {
        tracing::info!(%address, "status page, metrics and health");
    }
    let (commands, inbox) = mpsc::unbounded_channel();
    let watcher = thread::Builder::new().name("signals".into()).spawn(move || signals.run(&settings, &commands));
    if let Err(error) = watcher {
        return fail(&format!("cannot start a thread: {error}"), CANNOT_RUN);
    }
    match edge.run(inbox) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, CANNOT_RUN),
    }
}

/// The signals of the process, on a runtime of their own.
struct Signals {
    runtime: Runtime,
    hangup: Signal,
    stops: StopSignals,
}

impl Signals {
    /// From here on no signal ends the process by itself.
    fn watch() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let inside = runtime.enter();
        let (hangup, stops) = (signal(SignalKind::hangup())?, StopSignals::listen()?);
        drop(inside);
        Ok(Self { runtime, hangup, stops })
    }

    /// SIGHUP reloads; SIGTERM and SIGINT drain, and a second one of these ends the process at once.
    fn run(self, settings: &Settings, commands: &mpsc::UnboundedSender<Command>) {
        let Self { runtime, mut hangup, mut stops } = self;
        runtime.block_on(async {
            loop {
                let command = tokio::select! {
                    _ = hangup.recv() => match settings.load() {
                        Ok(loaded) => Command::Reload(Box::new(log_warnings(loaded))),
                        Err(error) => Command::ReloadFailed(error.to_string()),
                    },
                    () = stops.next() => break,
                };
                if commands.send(command).is_err() {
                    return;
                }
            }
            if commands.send(Command::Drain).is_ok() {
                stops.exit_on_next().await;
            }
        });
    }
}

fn check(settings: &Settings) -> ExitCode {
    let loaded = match settings.load() {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error, WRONG_SETTING),
    };
    process::log_to_stderr(EnvFilter::new("warn"));
    let config = log_warnings(loaded);
    if let Err(error) = control::check(&config) {
        return fail(&error, WRONG_SETTING);
    }
    match io::stdout().write_all(file::render(&config).as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, CANNOT_RUN),
    }
}

/// Asks a running edge whether it is alive.
fn ask(healthcheck: &Healthcheck) -> ExitCode {
    let address = match healthcheck.address() {
        Ok(address) => address,
        Err(error) => return fail(&error, WRONG_SETTING),
    };
    match process::healthcheck(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{address}: {error}"), CANNOT_RUN),
    }
}

/// Checks whether a name leads to edges.
fn look_up(lookup: &Lookup) -> ExitCode {
    let wanted = match NameCheck::new(lookup) {
        Ok(wanted) => wanted,
        Err(error) => return fail(&error, WRONG_SETTING),
    };
    let said = dns_check::run(&wanted).and_then(|report| {
        io::stdout().write_all(report.render(wanted.json).as_bytes())?;
        Ok(report.is_well())
    });
    match said {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(CANNOT_RUN),
        Err(error) => fail(&error, CANNOT_RUN),
    }
}

/// Logs the warnings of a configuration: allowed, but probably a mistake.
fn log_warnings(loaded: Loaded) -> Config {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    loaded.config
}

fn fail(why: &dyn std::fmt::Display, code: u8) -> ExitCode {
    process::fail("edge", why, code)
}
