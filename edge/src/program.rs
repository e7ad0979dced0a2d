//! The edge's process: command line, log, signals, exit code. The program `edge` only calls [`main`]; the image's
//! program calls it for one of its roles.

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
    control::{self, Command, Edge, Inherited, StartError},
    dns_check::{self, flags::NameCheck},
};

/// Runs the command that the arguments give; the first argument is the name of the program. Reads the environment, and
/// takes over the process's log, panics and signals.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    match flags::parse(arguments, env::vars_os()) {
        Ok(flags::Command::Run(settings)) => run(settings),
        Ok(flags::Command::Check(settings)) => check(&settings),
        Ok(flags::Command::Healthcheck(healthcheck)) => check_health(&healthcheck),
        Ok(flags::Command::Dns(lookup)) => check_name(&lookup),
        Ok(flags::Command::Completions(completions)) => completions.print(flags::command()),
        Ok(flags::Command::Man(man)) => man.write(flags::command()),
        Err(usage) => process::usage(&usage),
    }
}

/// Runs the edge until a signal stops it.
fn run(settings: Settings) -> ExitCode {
    // First of all, because it needs a process with one thread.
    let inherited = match inherit() {
        Ok(inherited) => inherited,
        Err(error) => return fail(&error, CANNOT_RUN),
    };
    let loaded = match settings.load() {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error, WRONG_SETTING),
    };
    // hyper's h2 warns whenever it ends a connection because of resets. The edge has a line for it that is limited.
    match EnvFilter::try_new(format!("h2=error,{}", settings.log())) {
        Ok(filter) => process::log_to_stderr(filter),
        Err(error) => return fail(&format!("--log: {error}"), WRONG_SETTING),
    }
    let config = fit_file_limit(log_warnings(loaded));
    // Before any address is bound, so that an early signal does not kill the process.
    let signals = match Signals::watch() {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("cannot watch for signals: {error}"), CANNOT_RUN),
    };
    // Before a takeover, which may wait for the edge that runs: a stop that arrives meanwhile counts.
    let (sender, commands) = mpsc::unbounded_channel();
    let thread = thread::Builder::new().name("signals".into()).spawn(move || signals.run(&settings, &sender));
    if let Err(error) = thread {
        return fail(&format!("cannot start a thread: {error}"), CANNOT_RUN);
    }
    let edge = match Edge::inherit(config, inherited) {
        Ok(edge) => edge,
        Err(
            error @ (StartError::Tls(_)
            | StartError::Token(_)
            | StartError::Authority(_)
            | StartError::RuleFile(_)
            | StartError::AccessLog(_)
            | StartError::Unused(_)),
        ) => return fail(&error, WRONG_SETTING),
        Err(error) => return fail(&error, CANNOT_RUN),
    };
    for address in edge.addresses() {
        tracing::info!(%address, "listening");
    }
    if let Some(address) = edge.admin_address() {
        tracing::info!(%address, "status page, metrics and health");
    }
    let serving = || {
        if let Err(error) = process::notify_ready() {
            tracing::warn!(%error, "cannot notify the service manager that the edge has started");
        }
    };
    match edge.run_then(commands, serving) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, CANNOT_RUN),
    }
}

/// Takes the listening sockets that the parent process passed on, such as those of a systemd socket unit.
fn inherit() -> Result<Inherited, String> {
    let sockets = process::inherited_sockets().map_err(|error| process::chain(&error).to_string())?;
    let sockets = sockets.into_iter().map(|socket| (socket.name, socket.listener));
    Inherited::new(sockets).map_err(|error| format!("cannot use the inherited sockets: {error}"))
}

/// Receives the signals of the process on a runtime of its own.
struct Signals {
    runtime: Runtime,
    hangup: Signal,
    stops: StopSignals,
}

impl Signals {
    /// Starts to watch for signals. From then on no signal that is watched ends the process by itself.
    fn watch() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let (hangup, stops) = (signal(SignalKind::hangup())?, StopSignals::listen()?);
        drop(entered);
        Ok(Self { runtime, hangup, stops })
    }

    /// Turns signals into commands: SIGHUP reloads, SIGTERM and SIGINT drain. A second SIGTERM or SIGINT ends the
    /// process at once.
    fn run(self, settings: &Settings, commands: &mpsc::UnboundedSender<Command>) {
        let Self { runtime, mut hangup, mut stops } = self;
        runtime.block_on(async {
            loop {
                let command = tokio::select! {
                    _ = hangup.recv() => match settings.load() {
                        Ok(loaded) => Command::Reload(Box::new(fit_file_limit(log_warnings(loaded)))),
                        Err(error) => Command::ReloadFailed(error.to_string()),
                    },
                    () = stops.next() => break,
                };
                if commands.send(command).is_err() {
                    return;
                }
            }
            if commands.send(Command::Drain).is_ok() {
                tracing::info!("told to stop");
                stops.exit_on_next().await;
            }
        });
    }
}

/// Checks the configuration and prints it in full.
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

/// Checks whether the running edge is alive.
fn check_health(healthcheck: &Healthcheck) -> ExitCode {
    let address = match healthcheck.address() {
        Ok(address) => address,
        Err(error) => return fail(&error, WRONG_SETTING),
    };
    match process::healthcheck(address) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{address}: {error}"), CANNOT_RUN),
    }
}

/// Checks whether a name resolves to edges.
fn check_name(lookup: &Lookup) -> ExitCode {
    let check = match NameCheck::new(lookup) {
        Ok(check) => check,
        Err(error) => return fail(&error, WRONG_SETTING),
    };
    let result = dns_check::run(&check).and_then(|report| {
        io::stdout().write_all(report.render(check.json).as_bytes())?;
        Ok(report.is_well())
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(CANNOT_RUN),
        Err(error) => fail(&error, CANNOT_RUN),
    }
}

/// Logs the warnings of a configuration, which are probably mistakes, and returns the configuration.
fn log_warnings(loaded: Loaded) -> Config {
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    loaded.config
}

/// Raises the limit of open files to what `max_connections` needs, or lowers `max_connections` to what the limit allows:
/// clients that are refused try another edge, but those that are accepted need connections to endpoints.
fn fit_file_limit(mut config: Config) -> Config {
    // Each client connection may need a second file, for a connection to an endpoint.
    let max = &mut config.limits.max_connections;
    *max = process::raise_file_limit("max_connections", *max, 2);
    config
}

fn fail(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    process::fail("edge", error, code)
}
