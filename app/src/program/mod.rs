//! The process around the hit counter: flags and variables, logs, signals and the exit code. It is the whole
//! program `app`, and one role of the image's program.
//!
//! SIGHUP reads the files with the login of Redis again, SIGTERM and SIGINT drain. Exit codes: 0 after a drain; 1 if it
//! cannot start or continue, or receives a second signal to stop; 2 if a setting is invalid, before anything is opened.

mod config;
mod flags;

use std::{ffi::OsString, fmt::Display, io, net::SocketAddr, process::ExitCode, time::Duration};

use clap::CommandFactory;
use process::{CANNOT_RUN, StopSignals, WRONG_SETTING, chain};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tracing::{error, info, warn};

use self::{
    config::{Config, ConfigError},
    flags::{Command, Flags},
};
use crate::{App, Counter, StoreConfig, serve};

/// How long the store may take to close at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Counts until a signal arrives. The first argument is the program's name. Reads this process's
/// variables, and takes over its log, panics and signals.
#[must_use]
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let flags = match Flags::of_process(arguments, problems) {
        Ok(flags) => flags,
        Err(usage) => return process::usage(&usage),
    };
    match &flags.command {
        Some(Command::Healthcheck) => return healthcheck(&flags),
        Some(Command::Completions(completions)) => return completions.print(Flags::command()),
        Some(Command::Man(man)) => return man.write(Flags::command()),
        None => {}
    }
    let config = match Config::parse(&flags, |path| std::fs::read(path)) {
        Ok(config) => config,
        Err(errors) => return fail(&errors, WRONG_SETTING),
    };
    match start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = %chain(&*error), "cannot run");
            ExitCode::from(CANNOT_RUN)
        }
    }
}

/// Returns what is wrong with the values of flags beside wrong usage. What is missing may be among the wrong arguments.
fn problems(flags: &Flags) -> Vec<String> {
    let parsed = match flags.command {
        None => Config::parse(flags, |path| std::fs::read(path)),
        Some(_) => return Vec::new(),
    };
    let errors = parsed.err().into_iter().flatten();
    errors.filter(|error| !matches!(error, ConfigError::NoStore)).map(|error| chain(&error).to_string()).collect()
}

/// Asks the app on this machine whether it is alive.
fn healthcheck(flags: &Flags) -> ExitCode {
    match config::listen(flags).map(process::healthcheck) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => fail(&chain(&error), CANNOT_RUN),
        Err(error) => fail(&error, WRONG_SETTING),
    }
}

/// Reports why the program ends, before there is a log.
fn fail(why: &dyn Display, code: u8) -> ExitCode {
    process::fail("app", why, code)
}

fn start(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let Config { listen, admin, replica, store, limits, mut options, log } = config;
    process::log_to_stderr(log);
    options.max_connections = process::raise_file_limit("--max-connections", options.max_connections, 1);
    let runtime = Runtime::new()?;
    let done = runtime.block_on(async {
        let mut stops = StopSignals::listen()?;
        let mut hangups = signal(SignalKind::hangup())?;
        let counter = Counter::open(&store, limits)?;
        let node = rustix::system::uname();
        let node = node.nodename().to_string_lossy();
        let listener = bind(listen, "--listen (APP_LISTEN)")?;
        let (app, admin) = match admin {
            None => (App::new(counter.clone(), &node, options), None),
            Some(address) => {
                let (app, admin) = App::with_admin(counter.clone(), &node, options);
                (app, Some(Admin::start(bind(address, "--admin (APP_ADMIN)")?, admin)?))
            }
        };
        let app = app.named(&replica.unwrap_or_default());
        let address = listener.local_addr()?;
        match &store {
            StoreConfig::Redis(redis) => info!(%address, %redis, "listening"),
            StoreConfig::File(file) => info!(%address, file = %file.display(), "listening"),
        }
        let mut stopped_by_signal = false;
        serve(listener, app, async {
            // A reload waits for Redis, and a signal to stop ends it.
            let reloads = async {
                while hangups.recv().await.is_some() {
                    store.reload().await;
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = stops.next() => {
                    stopped_by_signal = true;
                    tokio::spawn(stops.exit_on_next());
                }
                () = counter.ended() => {}
                () = reloads => {}
            }
        })
        .await?;
        if let Some(admin) = admin {
            admin.stop().await;
        }
        if !stopped_by_signal {
            return Err(CounterFailed.into());
        }
        if timeout(CLOSE_TIMEOUT, counter.close()).await.is_err() {
            warn!("the store did not close in time");
        }
        Ok(())
    });
    // A look-up or a flush that hangs must not keep the process alive.
    runtime.shutdown_timeout(CLOSE_TIMEOUT);
    done
}

fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, CannotListen> {
    net::server::bind(address).and_then(TcpListener::from_std).map_err(|source| CannotListen {
        address,
        setting,
        source,
    })
}

/// The server of the operators' pages. It ends after that of the visitors' pages, whose drain it reports.
struct Admin {
    /// Dropping it ends the server.
    end: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

impl Admin {
    fn start(listener: TcpListener, app: App) -> io::Result<Self> {
        info!(admin = %listener.local_addr()?, "readiness and metrics are served");
        let (end, ended) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(listener, app, async { drop(ended.await) }));
        Ok(Self { end, server })
    }

    async fn stop(self) {
        drop(self.end);
        match self.server.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "readiness and metrics were not served to the end"),
            Err(error) => warn!(%error, "readiness and metrics were not served to the end"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}; another address can be set by {setting}")]
struct CannotListen {
    address: SocketAddr,
    setting: &'static str,
    source: io::Error,
}

/// A bug; the log has the panic. A new process resumes the count.
#[derive(Debug, thiserror::Error)]
#[error("the counter has failed")]
struct CounterFailed;
