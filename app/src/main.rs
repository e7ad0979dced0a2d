//! The process around the hit counter: flags and variables, logs, signals and the exit code.
//!
//! Exit codes: 0 after a signal and a drain; 1 when it cannot run; 2 when a setting is wrong, before
//! anything is opened.

mod config;
mod flags;
mod healthcheck;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use app::{App, Counter, StoreConfig, error::chain};
use clap::Parser;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::{
    config::{Config, ConfigError},
    flags::{Command, Flags},
};

const CANNOT_RUN: u8 = 1;
const WRONG_SETTING: u8 = 2;

/// How long a store may take to close at the end.
const CLOSE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(usage) => {
            // Also where --help and --version end. With stderr closed, the code must do.
            drop(usage.print());
            return u8::try_from(usage.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    if let Some(Command::Healthcheck) = flags.command {
        return match config::listen(&flags).map(healthcheck::check) {
            Ok(Ok(())) => ExitCode::SUCCESS,
            Ok(Err(error)) => fail(&error, CANNOT_RUN),
            Err(error) => fail(&error, CANNOT_RUN),
        };
    }
    let config = match Config::parse(&flags, |path| std::fs::read(path)) {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    match start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = %chain(&*error), "cannot run");
            ExitCode::from(CANNOT_RUN)
        }
    }
}

fn refuse(error: &ConfigError) -> ExitCode {
    fail(error, WRONG_SETTING)
}

/// Tells what is wrong before there are logs.
fn fail(error: &dyn std::error::Error, code: u8) -> ExitCode {
    // With stderr closed, the code must do.
    drop(writeln!(io::stderr(), "app: {}", chain(error)));
    ExitCode::from(code)
}

fn start(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let Config { listen, store, limits, options, log } = config;
    log_to_stderr(log);
    raise_file_limit(options.max_connections);
    let runtime = Runtime::new()?;
    let done = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let counter = Counter::open(&store, limits)?;
        let node = rustix::system::uname();
        let app = App::new(counter.clone(), &node.nodename().to_string_lossy(), options);
        let listener = TcpListener::bind(listen).await.map_err(|error| CannotListen(listen, error))?;
        let address = listener.local_addr()?;
        match &store {
            StoreConfig::Redis(redis) => info!(%address, %redis, "listening"),
            StoreConfig::File(file) => info!(%address, file = %file.display(), "listening"),
        }
        app::serve(listener, app, async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await?;
        if timeout(CLOSE, counter.close()).await.is_err() {
            warn!("the store does not close in time");
        }
        Ok(())
    });
    // A look-up or a flush that hangs must not keep the process.
    runtime.shutdown_timeout(CLOSE);
    done
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {0}; another address can be set by --listen (APP_LISTEN)")]
struct CannotListen(std::net::SocketAddr, #[source] io::Error);

/// Text for a person at a terminal, JSON for whatever else collects it.
fn log_to_stderr(filter: EnvFilter) {
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if io::stderr().is_terminal() {
        log.init();
    } else {
        log.json().flatten_event(true).init();
    }
}

/// Allows as many open files as connections need; container engines start processes with 1024.
fn raise_file_limit(connections: usize) {
    // The listener, the store, the runtime and the like.
    const OTHERS: u64 = 64;
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let mut limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < wanted) else {
        return;
    };
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    limit.current = Some(allowed);
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, current, wanted, "cannot raise the limit of open files");
    } else if allowed < wanted {
        warn!(allowed, wanted, "few open files are allowed: connections may be refused");
    }
}
