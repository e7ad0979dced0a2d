//! The process around the hit counter: flags and variables, logs, signals and the exit code.
//!
//! Exit codes: 0 after a signal and a drain; 1 when it cannot run; 2 when a setting is wrong, before
//! anything is opened.

mod config;
mod flags;
mod healthcheck;

use std::{io, process::ExitCode, time::Duration};

use app::{App, Counter, StoreConfig, error::chain};
use clap::Parser;
use process::{CANNOT_RUN, WRONG_SETTING};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tracing::{error, info, warn};

use crate::{
    config::{Config, ConfigError},
    flags::{Command, Flags},
};

/// How long a store may take to close at the end.
const CLOSE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(usage) => return process::usage(&usage),
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
    process::fail("app", &chain(error), code)
}

fn start(config: Config) -> Result<(), Box<dyn std::error::Error>> {
    let Config { listen, store, limits, options, log } = config;
    process::log_to_stderr(log);
    process::raise_file_limit(options.max_connections);
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
